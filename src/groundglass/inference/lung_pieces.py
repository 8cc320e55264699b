"""Which pieces of the network's answer are lung."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Stack, bridge_slices, components, majority_along_slices
from groundglass.inference.airways import airways
from groundglass.inference.working_grid import WorkingGrid

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
AERATED_HU = -300.0
LEAST_AERATED_SHARE = 0.15
"""Share of a slice's lung that must hold air for its solid parts to count as consolidated lung."""
THIN_MM = 3.0


def lung_pieces(
    raw: Stack, coarse: NDArray[np.uint8], hu: NDArray[np.float32] | None, grid: WorkingGrid, middle: float
) -> Stack:
    """The network's answer without flicker, airways, islands, gas and organs.

    Args:
        raw: (z, y, x) what the network calls lung.
        coarse: its probability, 0..255.
        hu: Hounsfield units, or None.
        grid: the working grid.
        middle: column of the body's midline.

    Returns:
        Mask of the same shape, empty where there are no lungs.
    """
    mask = majority_along_slices(raw) if grid.spacing[2] <= THIN_MM else bridge_slices(raw)
    if hu is not None:
        mask = mask & (1 - airways(hu, grid.spacing, middle))
    labels, sizes = components(mask)
    keep = sizes >= _smallest(grid, len(mask), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    keep[0] = False
    for label in np.flatnonzero(keep):
        inside = labels == label
        keep[label] = _is_lung(coarse[inside], hu[inside] if hu is not None else None)
    mask = np.asarray(keep[labels], dtype=np.uint8)
    if hu is not None:
        mask = _without_solid_slices(mask, hu)
    enough = np.count_nonzero(mask) >= _smallest(grid, len(mask), MINIMUM_LUNGS_ML, MINIMUM_LUNGS_CM2)
    return mask if enough else np.zeros_like(mask)


def _is_lung(probability: NDArray[np.uint8], hu: NDArray[np.float32] | None) -> bool:
    if probability.mean() < 255.0 * MINIMUM_CONFIDENCE:
        return False
    return hu is None or float(np.median(hu)) > GAS_HU


def _without_solid_slices(mask: Stack, hu: NDArray[np.float32]) -> Stack:
    """Drop solid tissue from slices in which hardly anything holds air: there the network took an organ for lung.

    A consolidated lobe has aerated lung beside it in the same slice, of the other lung at least.
    """
    aerated = mask & np.asarray(hu < AERATED_HU, dtype=np.uint8)
    lung, air = mask.sum(axis=(1, 2)), aerated.sum(axis=(1, 2))
    solid = air < LEAST_AERATED_SHARE * lung
    mask[solid] = aerated[solid]
    return mask


def _smallest(grid: WorkingGrid, slices: int, least_ml: float, least_cm2: float) -> float:
    """Smallest volume in voxels: `least_ml`, or `least_cm2` times the height in a thin stack."""
    height_cm = slices * grid.spacing[2] / 10.0
    return min(least_ml, least_cm2 * height_cm) / grid.voxel_ml


def without_crumbs(sides: Stack, grid: WorkingGrid) -> Stack:
    """Remove islands once more, now that the lungs are apart."""
    smallest = _smallest(grid, len(sides), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    labels, sizes = components(sides)
    return np.asarray(sides * (sizes >= smallest)[labels], dtype=np.uint8)
