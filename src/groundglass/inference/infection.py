"""From the network's infection probability to ground-glass and consolidation inside the lungs."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.image.morphology import bounding_box, remove_islands, without_islands
from groundglass.inference.working_grid import WorkingGrid
from groundglass.volume import INFECTION_NAMES, CTVolume, LabelMap, require_same_grid

GROUND_GLASS, CONSOLIDATION = 1, 2

MINIMUM_LESION_ML = 0.1
"""Lesions below this are removed: a ball of 6 mm, smaller than a secondary pulmonary lobule."""
MINIMUM_LESION_VOXELS = 4
CONSOLIDATION_HU = -200.0
"""HU from which infected lung counts as consolidated."""
SMOOTHING_MM = 1.2
"""Standard deviation of the Gaussian, within the slice and within the lung, applied before the HU are compared."""
SUBTYPE_MINIMUM_ML = 0.03
MINIMUM_PICTURE_SHARE = 1.5e-4

SubtypeMethod = Literal["hu-threshold", "network"]


def subtype_method(volume: CTVolume | None = None, *, by_network: bool = True) -> SubtypeMethod | None:
    """How ground-glass and consolidation are told apart.

    Args:
        volume: the scan; None for pictures.
        by_network: whether the network gives a consolidation probability.

    Returns:
        `hu-threshold` where there are Hounsfield units, else `network` where it can tell, else None.
    """
    if volume is not None and volume.units == "HU":
        return "hu-threshold"
    return "network" if by_network else None


def segment_infection(
    probability: NDArray[np.uint8],
    consolidation: NDArray[np.uint8] | None,
    volume: CTVolume,
    lungs: LabelMap,
    *,
    threshold: float = 0.5,
) -> LabelMap:
    """Find the infection inside the lungs.

    Args:
        probability: (x, y, z) on the grid of `volume`, 0..255 for 0..1.
        consolidation: probability, 0..255, that an infected voxel is consolidated; used for grey values only.
        volume: the scan.
        lungs: labels on the same grid; infection outside them is dropped.
        threshold: probability from which a voxel is infected, 0..1.

    Returns:
        Labels 1 = ground-glass, 2 = consolidation. Where `subtype_method` is None, everything is labelled 1.

    Raises:
        InvalidImageError: a probability is not on the volume's grid.
        GeometryMismatchError: the lungs are not on the volume's grid.
    """
    require_same_grid(volume, lungs)
    for name, values in (("infection", probability), ("consolidation", consolidation)):
        if values is not None and values.shape != volume.geometry.shape:
            raise InvalidImageError(
                f"the {name} probability has the shape {values.shape}; the scan has {volume.geometry.shape}"
            )
    labels = _inside_lungs(probability, lungs.labels, _level(threshold))
    _drop_specks(labels, WorkingGrid.of(volume.geometry))
    box = bounding_box(labels)
    if box is not None:
        dense = _dense(labels[box], box, volume, lungs, consolidation)
        labels[box] += np.bitwise_and(dense, labels[box], out=dense)
    return LabelMap(labels, volume.geometry, INFECTION_NAMES, volume.source)


def segment_infection_2d(
    probability: NDArray[np.uint8],
    consolidation: NDArray[np.uint8] | None,
    lungs: NDArray[np.uint8],
    threshold: float = 0.5,
) -> NDArray[np.uint8]:
    """Find the infection inside the lungs of a picture.

    Args:
        probability: (rows, columns), 0..255 for 0..1.
        consolidation: probability, 0..255, that an infected pixel is consolidated.
        lungs: labels (rows, columns).
        threshold: probability from which a pixel is infected, 0..1.

    Returns:
        uint8 (rows, columns): 1 = ground-glass, 2 = consolidation; 1 everywhere without `consolidation`.

    Raises:
        InvalidImageError: the shapes differ.
    """
    if probability.shape != lungs.shape or (consolidation is not None and consolidation.shape != lungs.shape):
        raise InvalidImageError(
            f"a probability of shape {probability.shape}, lungs of {lungs.shape}; expected the same"
        )
    infected = np.asarray((probability >= _level(threshold)) & (lungs > 0), dtype=np.uint8)
    smallest = max(MINIMUM_LESION_VOXELS, round(MINIMUM_PICTURE_SHARE * infected.size))
    infected = without_islands(infected, smallest, connectivity=8)
    if consolidation is not None:
        infected = infected + (infected & np.asarray(consolidation >= 128, dtype=np.uint8))
    return infected


def _level(threshold: float) -> int:
    return max(1, int(np.ceil(threshold * 255)))


def _inside_lungs(probability: NDArray[np.uint8], lungs: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """1 where the probability reaches the level inside the lungs; slice by slice, to save memory."""
    infected = np.zeros(probability.shape, dtype=np.uint8, order="F")
    for z in range(probability.shape[2]):
        lung = lungs[:, :, z].T
        if lung.any():
            likely = probability[:, :, z].T
            np.logical_and(likely >= level, lung, out=infected[:, :, z].T)
    return infected


def _drop_specks(infected: NDArray[np.uint8], grid: WorkingGrid) -> None:
    """Remove lesions that are too small, in place; they are told apart on the working grid."""
    coarse = grid.sample(infected)
    smallest = max(MINIMUM_LESION_VOXELS, round(MINIMUM_LESION_ML / grid.voxel_ml))
    kept = without_islands(coarse, smallest)
    if grid.factors != (1, 1, 1):
        # One voxel more on every side: the edge of a lesion lies between the voxels of the working grid.
        kept = np.stack([np.asarray(cv2.dilate(plane, np.ones((3, 3), np.uint8)), np.uint8) for plane in kept])
        kept[1:-1] |= kept[:-2] | kept[2:]
    for z, working in enumerate(grid.nearest(2)):
        infected.T[z] &= grid.enlarge(kept[working])


def _dense(
    infected: NDArray[np.uint8],
    box: tuple[slice, ...],
    volume: CTVolume,
    lungs: LabelMap,
    consolidation: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    """1 where infection counts as consolidation, in the box of the infection."""
    method = subtype_method(volume, by_network=consolidation is not None)
    if method == "network" and consolidation is not None:
        return np.asarray(consolidation[box] >= 128, dtype=np.uint8)
    dense = np.zeros(infected.shape, dtype=np.uint8, order="F")
    if method is None:
        return dense
    values, inside = volume.values[box], lungs.labels[box]
    for z in np.flatnonzero(infected.any(axis=(0, 1))):
        plane = np.asarray(values[:, :, z].T, dtype=np.float32)
        smooth = _smooth_within(plane, inside[:, :, z].T > 0, volume.geometry.spacing)
        dense[:, :, z] = (smooth.T >= CONSOLIDATION_HU) & (infected[:, :, z] > 0)
    remove_islands(dense, max(2, round(SUBTYPE_MINIMUM_ML / volume.geometry.voxel_ml)))
    return dense


def _smooth_within(
    plane: NDArray[np.float32], inside: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Gaussian smoothing of an axial slice (y, x) over the lung alone: the chest wall must not brighten its edge.

    HU are limited to -1000..200 first: a calcification or a clip must not colour its surroundings.
    """
    sigma_x, sigma_y = (max(SMOOTHING_MM / spacing[axis], 0.01) for axis in (0, 1))
    weight = np.ascontiguousarray(inside, dtype=np.float32)
    total = cv2.GaussianBlur(np.clip(plane, -1000.0, 200.0) * weight, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    share = cv2.GaussianBlur(weight, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    return np.asarray(total / np.maximum(share, 1e-3), dtype=np.float32)
