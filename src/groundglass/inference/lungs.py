"""From the network's lung probability to two clean lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.image.morphology import Stack, bounding_box
from groundglass.inference.lung_filling import fill_lungs
from groundglass.inference.lung_pieces import lung_pieces, without_crumbs
from groundglass.inference.lungs_2d import segment_lungs_2d
from groundglass.inference.midline import split_sides
from groundglass.inference.working_grid import WorkingGrid
from groundglass.volume import LUNG_NAMES, CTVolume, LabelMap

__all__ = ["segment_lungs", "segment_lungs_2d"]

MARGIN = 8
"""Pixels around the lungs' box that the working copy keeps."""
CERTAIN = np.repeat(np.arange(3, dtype=np.uint8), 3)
"""Lung that was filled in, from the number outline + 3 * filled."""
LIKELY = np.maximum(CERTAIN, np.tile(np.arange(3, dtype=np.uint8), 3))
"""The same, and the outline, which counts where the probability agrees."""


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
    hu = None
    if volume.units == "HU":
        hu = np.ascontiguousarray(grid.sample(volume.values)[crop], dtype=np.float32)
    lungs = np.zeros_like(raw)
    middle = _midline(volume, grid) - columns.start
    lungs[crop] = _working_lungs(np.ascontiguousarray(coarse[crop]), level, hu, grid, middle)
    return _label_map(_full_resolution(probability, level, raw, lungs, grid), volume)


def _working_lungs(
    coarse: NDArray[np.uint8], level: int, hu: NDArray[np.float32] | None, grid: WorkingGrid, middle: float
) -> Stack:
    """Labels of the lungs on (a crop of) the working grid."""
    raw = np.asarray(coarse >= level, dtype=np.uint8)
    cleaned = lung_pieces(raw, coarse, hu, grid, middle)
    box = bounding_box(cleaned)
    if box is None:
        return cleaned
    box = (box[0], slice(None), slice(None))
    cost = _cost(coarse[box], hu[box] if hu is not None else None, cleaned[box])
    sides = without_crumbs(split_sides(cleaned[box], cost, middle, grid.spacing[0]), grid)
    cleaned[box] = fill_lungs(sides, hu[box] if hu is not None else None, grid)
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


def _cost(coarse: NDArray[np.uint8], hu: NDArray[np.float32] | None, mask: Stack) -> NDArray[np.float32]:
    """What a cut costs at each voxel: the lung probability, less where the junction line makes the lung denser."""
    cost = np.empty(coarse.shape, dtype=np.float32)
    for z, plane in enumerate(cost):  # slice by slice: a slice stays in the processor's cache
        np.multiply(coarse[z], mask[z], out=plane, casting="unsafe")
        plane *= np.float32(1.0 / 255.0)
        if hu is not None:
            dense = np.clip((hu[z] + np.float32(800.0)) * np.float32(0.6 / 300.0), 0.0, 0.6)
            plane *= np.subtract(np.float32(1.0), dense, out=dense)
    if len(cost) >= 3:
        below = cost[0].copy()
        for z in range(1, len(cost) - 1):
            here = cost[z].copy()
            cost[z] = 0.5 * here + 0.25 * (below + cost[z + 1])
            below = here
    return cost


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
    coded = np.zeros_like(filled)
    box = bounding_box(filled)
    if box is None:
        return labels
    near = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    found, network = filled[near], raw[near]
    outline = _grown(found, np.asarray((network == 0) & (found == 0)))
    inner = _grown(np.where(network == 0, found, np.uint8(0)), np.asarray(found > 0))
    coded[near] = outline + np.uint8(3) * inner  # both in one number, so that they are enlarged at once
    for z, working in enumerate(grid.nearest(2)):
        part = bounding_box(coded[working])
        if part is not None:
            here = (z, *grid.full_box(part))
            enlarged = grid.enlarge(coded[working], part)
            slices[here] = np.where(seen[here] >= level, LIKELY[enlarged], CERTAIN[enlarged])
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
