"""The lungs of a single picture, which has no millimetres and may lie on its side."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Plane, close_plane, components, ellipse, holes_plane
from groundglass.inference.midline import LEFT, RIGHT, cut_columns, split_sides, stray_cost

ASSUMED_WIDTH_MM = 350.0
"""What the longer side of a picture shows, for distances that need a scale."""
WORKING_PIXELS = 256
MINIMUM_CONFIDENCE = 0.7
MINIMUM_ISLAND_SHARE = 0.002
MINIMUM_LUNGS_SHARE = 0.01
LARGEST_HOLE_SHARE = 0.08
CLOSING_SHARE = 0.008


def segment_lungs_2d(probability: NDArray[np.uint8], threshold: float = 0.5) -> NDArray[np.uint8]:
    """Find the lungs of a picture.

    Where the lungs lie side by side, the one on the picture's left is taken for the patient's right lung (the
    radiological convention; a picture flipped upside down keeps it). Where they lie one above the other, as in a
    transposed picture, the upper one is taken for the right lung.

    Args:
        probability: (rows, columns) of any size, 0..255 for 0..1.
        threshold: probability from which a pixel is lung, 0..1.

    Returns:
        uint8 (rows, columns): 1 = right, 2 = left; all zero where there is no lung.
    """
    level = max(1, int(np.ceil(threshold * 255)))
    mask = np.asarray(probability >= level, dtype=np.uint8)
    mask = _clean(mask, probability)
    if not mask.any():
        return mask
    sides = _split(mask, probability)
    filled = sides.copy()
    for side in (RIGHT, LEFT):
        whole = _fill(np.asarray(sides == side, dtype=np.uint8))
        filled[(whole > 0) & (sides == 0) & (filled == 0)] = side
    return filled


def lungs_mask(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The lungs of a picture without telling them apart, as image stages want them.

    Args:
        probability: (rows, columns) of any size, 0..255 for 0..1.

    Returns:
        uint8 (rows, columns) of 0 and 255.
    """
    return np.asarray((segment_lungs_2d(probability) > 0) * np.uint8(255), dtype=np.uint8)


def _clean(mask: Plane, probability: NDArray[np.uint8]) -> Plane:
    """Without islands and without what the network only half believes in."""
    labels, sizes = components(mask, connectivity=4)
    sums = np.bincount(labels.ravel(), weights=probability.ravel())
    keep = (sizes >= MINIMUM_ISLAND_SHARE * mask.size) & (sums >= MINIMUM_CONFIDENCE * 255.0 * sizes)
    keep[0] = False
    if sizes[keep].sum() < MINIMUM_LUNGS_SHARE * mask.size:
        keep[:] = False
    return np.asarray(keep[labels], dtype=np.uint8)


def _split(mask: Plane, probability: NDArray[np.uint8]) -> Plane:
    """Right and left on a small copy, along whichever axis a cut is cheaper."""
    scale = WORKING_PIXELS / max(mask.shape)
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    if not small.any():
        small, size = mask, (mask.shape[1], mask.shape[0])
    cost = np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_AREA), dtype=np.float32) / 255.0 * small
    # Columns from the right: the patient's right has the larger x, as in a volume.
    upright, lying = (small[:, ::-1], cost[:, ::-1]), (small.T[:, ::-1], cost.T[:, ::-1])
    sides = _sides(*upright)[:, ::-1] if _cut_cost(*upright) <= _cut_cost(*lying) else _sides(*lying)[:, ::-1].T
    return _onto(mask, sides)


def _middle(mask: Plane) -> float:
    """Middle column of the picture, but well within the lungs' extent."""
    used = np.flatnonzero(mask.any(axis=0))
    first, last = float(used[0]), float(used[-1])
    width = last - first
    return float(np.clip((mask.shape[1] - 1) / 2.0, first + 0.4 * width, last - 0.4 * width))


def _cut_cost(mask: Plane, cost: NDArray[np.float32]) -> float:
    """What the best cut costs: the lung that it passes and its distance from the middle."""
    middle, spacing = _middle(mask), ASSUMED_WIDTH_MM / WORKING_PIXELS
    path = cut_columns(cost[None], middle, spacing)[0]
    used = np.flatnonzero(mask.any(axis=1))
    rows = np.arange(used[0], used[-1] + 1)
    stray = stray_cost(cost.shape[1], middle, spacing)
    return float(cost[rows, path[rows]].sum() + stray[path[rows]].sum())


def _sides(mask: Plane, cost: NDArray[np.float32]) -> Plane:
    contiguous = np.ascontiguousarray(mask)[None], np.ascontiguousarray(cost)[None]
    sides = split_sides(*contiguous, _middle(mask), ASSUMED_WIDTH_MM / WORKING_PIXELS)
    return np.asarray(sides[0], dtype=np.uint8)


def _onto(mask: Plane, sides: Plane) -> Plane:
    """Carry labels of the small copy to the picture: every lung pixel takes the label nearest to it."""
    if sides.shape == mask.shape:
        return sides
    grown = sides.copy()
    # Two steps of growth cover what the small copy rounds away.
    for _ in range(2):
        grown = np.where(grown == 0, cv2.dilate(np.ascontiguousarray(grown), np.ones((3, 3), np.uint8)), grown)
    size = (mask.shape[1], mask.shape[0])
    enlarged = np.asarray(cv2.resize(np.ascontiguousarray(grown), size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return np.asarray(enlarged * mask, dtype=np.uint8)


def _fill(lung: Plane) -> Plane:
    """Close clefts and fill holes, but not one so large that it may be the dome of the diaphragm."""
    radius = CLOSING_SHARE * max(lung.shape)
    closed = close_plane(lung, ellipse(radius, radius))
    labels, sizes = components(holes_plane(closed), connectivity=4)
    fill = sizes <= LARGEST_HOLE_SHARE * np.count_nonzero(lung)
    fill[0] = False
    return np.asarray(closed | fill[labels], dtype=np.uint8)
