"""What a lung encloses belongs to it: clefts, notches at the ribs, and holes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Stack, bounding_box, close_plane, components, ellipse, holes_of_slices
from groundglass.inference.midline import LEFT, RIGHT
from groundglass.inference.working_grid import WorkingGrid

CLOSING_MM = 4.0
COSTAL_CLOSING_MM = 15.0
SMALL_HOLE_CM2 = 2.0
BONE_HU = 130.0


def fill_lungs(sides: Stack, hu: NDArray[np.float32] | None, grid: WorkingGrid) -> Stack:
    """Close clefts and notches and fill holes of each lung; a lung never takes voxels of the other."""
    filled = sides.copy()
    box = bounding_box(sides)
    if box is None:
        return filled
    centre = _centre(sides)

    def whole(side: int) -> Stack:
        closed = _close(np.asarray(sides == side, dtype=np.uint8), hu, grid, centre)
        closed |= _fillable(closed, holes_of_slices(closed), grid)
        return closed

    with ThreadPoolExecutor(max_workers=2) as both:
        for side, closed in zip((RIGHT, LEFT), both.map(whole, (RIGHT, LEFT)), strict=True):
            filled[(closed > 0) & (filled == 0)] = side
    return filled


def _centre(sides: Stack) -> tuple[float, float]:
    """Middle (row, column) of the box around both lungs: a point in the mediastinum."""
    box = bounding_box(sides.max(axis=0))
    if box is None:
        return 0.0, 0.0
    return (box[0].start + box[0].stop - 1) / 2.0, (box[1].start + box[1].stop - 1) / 2.0


def _close(lung: Stack, hu: NDArray[np.float32] | None, grid: WorkingGrid, centre: tuple[float, float]) -> Stack:
    """Closing with a small disc everywhere and with a large one along the ribs, where the lung is convex."""
    small = ellipse(CLOSING_MM / grid.spacing[1], CLOSING_MM / grid.spacing[0])
    large = ellipse(COSTAL_CLOSING_MM / grid.spacing[1], COSTAL_CLOSING_MM / grid.spacing[0])
    closed = lung.copy()
    for index in np.flatnonzero(lung.any(axis=(1, 2))):
        plane = close_plane(lung[index], small)
        plane |= _costal_notches(plane, close_plane(plane, large), centre)
        if hu is not None:
            plane &= np.asarray(hu[index] < BONE_HU, dtype=np.uint8)
        closed[index] |= plane
    return closed


def _costal_notches(
    plane: NDArray[np.uint8], closed: NDArray[np.uint8], centre: tuple[float, float]
) -> NDArray[np.uint8]:
    """Parts of the closing that lie between lung and chest wall: seen from the mediastinum, behind lung only."""
    added = closed & (1 - plane)
    accepted = np.zeros_like(plane)
    box = bounding_box(added)
    if box is None:
        return accepted
    corner = np.array([part.start for part in box], dtype=np.float64)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(added[box], connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < 4:
            continue
        if _behind_lung(plane, np.array(centre), corner + centroids[label][::-1]):
            accepted[box][labels == label] = 1
    return accepted


def _behind_lung(plane: NDArray[np.uint8], centre: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    direction = point - centre
    distance = float(np.hypot(*direction))
    if distance < 1.0:
        return False
    direction /= distance
    before = centre + direction * np.arange(0.0, distance)[:, None]
    beyond = point + direction * np.arange(0.0, float(sum(plane.shape)))[:, None]
    return _hits(plane, before) and not _hits(plane, beyond)


def _hits(plane: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    index = np.rint(points).astype(np.int64)
    inside = ((index >= 0) & (index < plane.shape)).all(axis=1)
    return bool(plane[index[inside, 0], index[inside, 1]].any())


def _fillable(lung: Stack, holes: Stack, grid: WorkingGrid) -> Stack:
    """Holes without those that are the dome of the diaphragm, which a lung surrounds in its lowest slices."""
    labels, sizes = components(holes)
    fill = np.ones(sizes.size, dtype=bool)
    fill[0] = False
    small = SMALL_HOLE_CM2 * 100.0 / grid.pixel_mm2
    for label in np.flatnonzero(sizes > small):
        if label:
            fill[label] = not _is_dome(lung, labels == label, small)
    return np.asarray(fill[labels], dtype=np.uint8)


def _is_dome(lung: Stack, hole: NDArray[np.bool_], small: float) -> bool:
    """Whether a hole opens downwards with its widest slice."""
    areas = hole.sum(axis=(1, 2))
    bottom = int(np.flatnonzero(areas)[0])
    if bottom == 0 or areas[bottom] <= small or areas[bottom] < 0.6 * areas.max():
        return False
    open_below = np.count_nonzero(hole[bottom] & (lung[bottom - 1] == 0))
    return bool(open_below >= 0.5 * areas[bottom])
