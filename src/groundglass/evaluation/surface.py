"""Distances between the surfaces of two masks, by DeepMind's `surface-distance`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError

PERCENTILE = 95.0


@dataclass(frozen=True, slots=True)
class SurfaceAgreement:
    """How far apart two surfaces lie.

    Attributes:
        nsd: normalised surface Dice, 0..1: share of both surfaces that lies within the tolerance of the other one
            (Nikolov et al. 2018, surface elements weighted by their area). Both masks empty 1, one empty 0.
        hd95_mm: robust Hausdorff distance, millimetres: the larger of the two 95th percentiles of the distance to the
            other surface (area-weighted). Both masks empty 0; None where one is empty, for then there is no distance.
    """

    nsd: float
    hd95_mm: float | None


def surface_agreement(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: tuple[float, ...], *, tolerance_mm: float
) -> SurfaceAgreement:
    """Compare the surfaces of two masks, 2D or 3D.

    Args:
        predicted: mask.
        truth: mask of the same shape.
        spacing_mm: distance of neighbouring voxels along each axis of the masks.
        tolerance_mm: distance up to which surfaces count as the same.

    Raises:
        InvalidImageError: the shapes differ, or the spacing does not fit them.
    """
    if predicted.shape != truth.shape or len(spacing_mm) != truth.ndim:
        raise InvalidImageError(
            f"a prediction of {predicted.shape}, a truth of {truth.shape} and a spacing of {len(spacing_mm)} numbers; "
            "expected one shape and one number per axis"
        )
    # The library divides by an empty surface, so empty masks are decided here.
    if not truth.any() or not predicted.any():
        return SurfaceAgreement(1.0, 0.0) if truth.any() == predicted.any() else SurfaceAgreement(0.0, None)
    with warnings.catch_warnings():
        # The library names scipy's functions by their old modules.
        warnings.simplefilter("ignore", DeprecationWarning)
        import surface_distance

        distances = surface_distance.compute_surface_distances(
            np.ascontiguousarray(truth), np.ascontiguousarray(predicted), spacing_mm
        )
        nsd = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)
        hd95 = surface_distance.compute_robust_hausdorff(distances, PERCENTILE)
    return SurfaceAgreement(float(nsd), float(hd95))
