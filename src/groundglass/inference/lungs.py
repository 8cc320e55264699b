"""From the network's lung probability to two clean lungs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.image.morphology import (
    Stack,
    bounding_box,
    bridge_slices,
    close_plane,
    components,
    ellipse,
    holes_of_slices,
    majority_along_slices,
)
from groundglass.inference.airways import airways
from groundglass.inference.lungs_2d import segment_lungs_2d
from groundglass.inference.midline import LEFT, RIGHT, split_sides
from groundglass.inference.working_grid import WorkingGrid
from groundglass.volume import LUNG_NAMES, CTVolume, LabelMap

__all__ = ["segment_lungs", "segment_lungs_2d"]

MINIMUM_ISLAND_CM2 = 2.5
MINIMUM_ISLAND_ML = 10.0
"""A piece of lung is kept from 10 ml on, or, in a stack thinner than 4 cm, from 2.5 cm2 times its height on."""
MINIMUM_LUNGS_ML = 50.0
MINIMUM_LUNGS_CM2 = 12.0
"""Both lungs together must reach 50 ml, or, in a stack thinner than 4 cm, 12 cm2 times its height."""
GAS_HU = -960.0
"""Median HU below which a piece is gas in the bowel or outside the body; lung, even emphysema, is denser."""
MINIMUM_CONFIDENCE = 0.7
"""Mean probability that a piece must reach, as a share of 1."""
CLOSING_MM = 4.0
COSTAL_CLOSING_MM = 15.0
SMALL_HOLE_CM2 = 2.0
BONE_HU = 130.0
MARGIN = 4


def segment_lungs(probability: NDArray[np.uint8], volume: CTVolume, *, threshold: float = 0.5) -> LabelMap:
    """Find the lungs.

    Airways and gas that is not lung are removed, touching lungs are cut apart, and what the lung encloses is filled, so
    that vessels and consolidation, at the chest wall too, belong to the lung.

    Args:
        probability: (x, y, z) on the grid of `volume`, 0..255 for 0..1.
        volume: the scan; its HU help to tell airways and bowel gas from lung where `units` is `HU`.
        threshold: probability from which a voxel is lung, 0..1.

    Returns:
        Labels 1 = right, 2 = left (patient's side, by world x); all zero where there is no lung.

    Raises:
        InvalidImageError: the probability is not on the volume's grid.
    """
    if probability.shape != volume.geometry.shape:
        raise InvalidImageError(
            f"the lung probability has the shape {probability.shape}; the scan has {volume.geometry.shape}"
        )
    grid = WorkingGrid.of(volume.geometry)
    level = max(1, int(np.ceil(threshold * 255)))
    coarse = grid.sample(probability)
    raw = np.asarray(coarse >= level, dtype=np.uint8)
    box = bounding_box(raw.max(axis=0))
    if box is None:
        return _label_map(np.zeros(volume.geometry.shape, dtype=np.uint8, order="F"), volume)
    # All slices stay, for the trachea is followed from above the lungs.
    rows, columns = (slice(max(side.start - MARGIN, 0), side.stop + MARGIN) for side in box)
    crop = (slice(None), rows, columns)
    hu = np.ascontiguousarray(grid.sample(volume.values)[crop]) if volume.units == "HU" else None
    lungs = np.zeros_like(raw)
    middle = _midline(volume, grid) - columns.start
    lungs[crop] = _working_lungs(np.ascontiguousarray(coarse[crop]), level, hu, grid, middle)
    return _label_map(_full_resolution(probability, level, raw, lungs, grid), volume)


def _working_lungs(
    coarse: NDArray[np.uint8], level: int, hu: NDArray[np.float32] | None, grid: WorkingGrid, middle: float
) -> Stack:
    """Labels of the lungs on (a crop of) the working grid."""
    raw = np.asarray(coarse >= level, dtype=np.uint8)
    cleaned = _clean(raw, coarse, hu, grid, middle)
    box = bounding_box(cleaned)
    if box is None:
        return cleaned
    box = (box[0], slice(None), slice(None))
    cost = _cost(coarse[box], hu[box] if hu is not None else None, cleaned[box])
    sides = _drop_crumbs(split_sides(cleaned[box], cost, middle, grid.spacing[0]), grid)
    cleaned[box] = _fill(sides, hu[box] if hu is not None else None, grid)
    return cleaned


def _label_map(labels: NDArray[np.uint8], volume: CTVolume) -> LabelMap:
    return LabelMap(labels, volume.geometry, LUNG_NAMES, volume.source)


def _midline(volume: CTVolume, grid: WorkingGrid) -> float:
    """Column of the working grid in the middle of the body: the mean x of soft tissue."""
    sparse = volume.values[:: 2 * grid.factors[0], :: 2 * grid.factors[1], :: max(1, volume.values.shape[2] // 40)]
    tissue = sparse > -300.0 if volume.units == "HU" else sparse > 96.0
    profile = tissue.sum(axis=(1, 2)).astype(np.float64)
    if not profile.any():
        return float(volume.geometry.shape[0] / grid.factors[0] / 2.0)
    return float((profile * np.arange(profile.size)).sum() / profile.sum() * 2.0)


def _smallest(grid: WorkingGrid, slices: int, least_ml: float, least_cm2: float) -> float:
    """Smallest volume in voxels: `least_ml`, or `least_cm2` times the height in a thin stack."""
    height_cm = slices * grid.spacing[2] / 10.0
    return min(least_ml, least_cm2 * height_cm) / grid.voxel_ml


def _clean(
    raw: Stack, coarse: NDArray[np.uint8], hu: NDArray[np.float32] | None, grid: WorkingGrid, middle: float
) -> Stack:
    """Without flicker, airways, islands and gas."""
    thin = grid.spacing[2] <= 3.0
    mask = majority_along_slices(raw) if thin else bridge_slices(raw)
    if hu is not None:
        mask = mask & (1 - airways(hu, grid.spacing, middle))
    labels, sizes = components(mask)
    keep = sizes >= _smallest(grid, len(mask), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    keep[0] = False
    for label in np.flatnonzero(keep):
        inside = labels == label
        keep[label] = _is_lung(coarse[inside], hu[inside] if hu is not None else None)
    if sizes[keep].sum() < _smallest(grid, len(mask), MINIMUM_LUNGS_ML, MINIMUM_LUNGS_CM2):
        keep[:] = False
    return np.asarray(keep[labels], dtype=np.uint8)


def _is_lung(probability: NDArray[np.uint8], hu: NDArray[np.float32] | None) -> bool:
    if probability.mean() < 255.0 * MINIMUM_CONFIDENCE:
        return False
    return hu is None or float(np.median(hu)) > GAS_HU


def _cost(coarse: NDArray[np.uint8], hu: NDArray[np.float32] | None, mask: Stack) -> NDArray[np.float32]:
    """What a cut costs at each voxel: the lung probability, less where the junction line makes the lung denser."""
    cost = np.asarray(coarse * mask, dtype=np.float32)
    cost *= np.float32(1.0 / 255.0)
    if hu is not None:
        dense = np.clip((hu + np.float32(800.0)) * np.float32(0.6 / 300.0), 0.0, 0.6)
        cost *= np.subtract(np.float32(1.0), dense, out=dense)
    if len(cost) >= 3:
        cost[1:-1] = 0.5 * cost[1:-1] + 0.25 * (cost[:-2] + cost[2:])
    return cost


def _drop_crumbs(sides: Stack, grid: WorkingGrid) -> Stack:
    """Remove islands once more, now that the lungs are apart."""
    smallest = _smallest(grid, len(sides), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    labels, sizes = components(sides)
    return np.asarray(sides * (sizes >= smallest)[labels], dtype=np.uint8)


def _fill(sides: Stack, hu: NDArray[np.float32] | None, grid: WorkingGrid) -> Stack:
    """Close clefts and notches and fill holes of each lung; a lung never takes voxels of the other."""
    filled = sides.copy()
    box = bounding_box(sides)
    if box is None:
        return filled
    centre = _centre(sides)
    for side in (RIGHT, LEFT):
        lung = np.asarray(sides == side, dtype=np.uint8)
        closed = _close(lung, hu, grid, centre)
        closed |= _fillable(closed, holes_of_slices(closed), grid)
        filled[(closed > 0) & (sides == 0) & (filled == 0)] = side
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
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(added, connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < 4:
            continue
        point = np.array([centroids[label][1], centroids[label][0]])
        if _behind_lung(plane, np.array(centre), point):
            accepted[labels == label] = 1
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


def _full_resolution(
    probability: NDArray[np.uint8], level: int, raw: Stack, filled: Stack, grid: WorkingGrid
) -> NDArray[np.uint8]:
    """Carry the labels to the full grid: the outline from the probability, fillings from the working grid."""
    # Fortran order, as the scan: an axial slice is one block of memory.
    labels = np.zeros(probability.shape, dtype=np.uint8, order="F")
    slices, seen = labels.T, probability.T
    if grid.factors == (1, 1, 1):
        slices[...] = filled
        return labels
    outline = _grown(filled, np.asarray((raw == 0) & (filled == 0)))
    inner = _grown(np.where(raw == 0, filled, np.uint8(0)), np.asarray(filled > 0))
    used = outline.max(axis=(1, 2)) > 0
    for z, working in enumerate(grid.nearest(2)):
        if used[working]:
            certain = grid.enlarge(inner[working])
            possible = np.where(seen[z] >= level, grid.enlarge(outline[working]), np.uint8(0))
            np.maximum(possible, certain, out=slices[z])
    return labels


def _grown(labels: Stack, where: NDArray[np.bool_]) -> Stack:
    """Labels grown by one voxel along x, y and z into `where`."""
    grown = labels.copy()
    for axis in range(3):
        for ahead, behind in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            target = tuple(ahead if a == axis else slice(None) for a in range(3))
            origin = tuple(behind if a == axis else slice(None) for a in range(3))
            free = where[target] & (grown[target] == 0)
            np.copyto(grown[target], labels[origin], where=free)
    return grown
