"""Laying the lungs of one scan onto those of another: affine, then free-form, driven by the lungs' surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InputError
from groundglass.itk_image import itk_image, simpleitk
from groundglass.volume import LabelMap

STEP_MM = 3.0
MARGIN_MM = 24.0
NEAR_MM = 15.0
"""Distances to the surface count up to here: what is farther from it has no say."""
MESH_MM = 60.0
GOOD_DICE = 0.98
"""An affine transform that lays both lungs on each other this well is not bent any further."""
_SEED = 20200311


@dataclass(frozen=True, eq=False)
class Registration:
    """How a moving scan lies on a fixed one.

    Attributes:
        transform: SimpleITK transform from points of the fixed scan to points of the moving one (LPS millimetres).
        fixed: lungs of the fixed scan.
        dice: overlap of right and left lung after registration, 0 to 1; None where either scan lacks the lung.
    """

    transform: Any
    fixed: LabelMap
    dice: tuple[float | None, float | None]

    def carried_mask(self, moving: LabelMap) -> NDArray[np.bool_]:
        """Where the moving scan has any label, on the fixed scan's grid (x, y, z).

        A voxel counts from half of it on; outside the box around the fixed lungs nothing is looked for.
        """
        itk = simpleitk()
        places = np.argwhere(self.fixed.labels > 0)
        start, stop = places.min(axis=0), places.max(axis=0) + 1
        first, last = tuple(int(at) for at in start), tuple(int(at) for at in stop)
        box = self.fixed.geometry.cropped((first[0], first[1], first[2]), (last[0], last[1], last[2]))
        grid = itk_image(np.zeros(box.shape, dtype=np.uint8), box.affine)
        image = itk_image((moving.labels > 0).astype(np.float32), moving.geometry.affine)
        laid = itk.Resample(image, grid, self.transform, itk.sitkLinear, 0.0, itk.sitkFloat32)
        found = np.zeros(self.fixed.geometry.shape, dtype=bool, order="F")
        inside = tuple(slice(low, high) for low, high in zip(first, last, strict=True))
        found[inside] = itk.GetArrayFromImage(laid).transpose(2, 1, 0) >= 0.5
        return found


def register(fixed: LabelMap, moving: LabelMap) -> Registration:
    """Lay the lungs of one scan onto those of another.

    Distance maps of the lungs, on a grid of 3 mm, are aligned by their moments, then by an affine transform, then by a
    B-spline where that leaves the lungs apart; no intensities take part, so that a change of the infection cannot pull
    on the result.

    Args:
        fixed: lungs of the scan that stays, 1 = right, 2 = left.
        moving: lungs of the other scan.

    Raises:
        OptionError: SimpleITK is not installed.
        InputError: a scan without lungs.
    """
    itk = simpleitk()
    for labels in (fixed, moving):
        if not labels.labels.any():
            raise InputError(f"{labels.source.case}: no lungs in this scan, so it cannot be laid onto another one")
    masks = [_working_mask(labels) for labels in (fixed, moving)]
    maps = [_distances(mask) for mask in masks]
    start = itk.CenteredTransformInitializer(
        masks[0], masks[1], itk.AffineTransform(3), itk.CenteredTransformInitializerFilter.MOMENTS
    )
    affine = _affine(itk, maps, start)
    laid = _checked(Registration(affine, fixed, (None, None)), moving, masks[0])
    if min((dice for dice in laid.dice if dice is not None), default=0.0) >= GOOD_DICE:
        return laid
    transform = itk.CompositeTransform(3)
    transform.AddTransform(affine)
    transform.AddTransform(_bspline(itk, maps, affine))
    bent = _checked(Registration(transform, fixed, (None, None)), moving, masks[0])
    return bent if sum(d or 0.0 for d in bent.dice) > sum(d or 0.0 for d in laid.dice) else laid


def _checked(laid: Registration, moving: LabelMap, grid: Any) -> Registration:  # noqa: ANN401
    """The same with the overlap of the lungs, counted on the working grid."""
    itk = simpleitk()
    sampled = []
    for labels, transform in ((laid.fixed, itk.Transform()), (moving, laid.transform)):
        image = itk_image(labels.labels, labels.geometry.affine)
        found = itk.Resample(image, grid, transform, itk.sitkNearestNeighbor, 0, itk.sitkUInt8)
        sampled.append(itk.GetArrayFromImage(found))
    right, left = (_dice(sampled[0] == side, sampled[1] == side) for side in (1, 2))
    return Registration(laid.transform, laid.fixed, (right, left))


def _working_mask(labels: LabelMap) -> Any:  # noqa: ANN401 - SimpleITK has no types
    """The lungs on a grid of 3 mm along the patient's axes, with a margin."""
    itk = simpleitk()
    inside = np.argwhere(labels.labels > 0)
    corners = np.array(np.meshgrid(*zip(inside.min(axis=0), inside.max(axis=0), strict=True))).reshape(3, -1).T
    world = labels.geometry.world(corners) * (-1.0, -1.0, 1.0)
    low, high = world.min(axis=0) - MARGIN_MM, world.max(axis=0) + MARGIN_MM
    size = [int(np.ceil(length / STEP_MM)) + 1 for length in high - low]
    image = itk_image((labels.labels > 0).astype(np.float32), labels.geometry.affine)
    grid = itk.Image(size, itk.sitkFloat32)
    grid.SetSpacing([STEP_MM] * 3)
    grid.SetOrigin([float(place) for place in low])
    return itk.Resample(image, grid, itk.Transform(), itk.sitkLinear, 0.0, itk.sitkFloat32)


def _distances(mask: Any) -> Any:  # noqa: ANN401
    """Signed distance to the surface in millimetres, positive inside, cut at `NEAR_MM`."""
    itk = simpleitk()
    inside = itk.Cast(mask > 0.5, itk.sitkUInt8)
    far = itk.SignedMaurerDistanceMap(inside, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return itk.Clamp(far, itk.sitkFloat32, -NEAR_MM, NEAR_MM)


def _affine(itk: Any, maps: list[Any], start: Any) -> Any:  # noqa: ANN401
    method = _method(itk, start)
    method.SetOptimizerAsConjugateGradientLineSearch(
        learningRate=1.0, numberOfIterations=60, convergenceMinimumValue=1e-7, convergenceWindowSize=8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.0])
    method.Execute(*maps)
    return start


def _bspline(itk: Any, maps: list[Any], affine: Any) -> Any:  # noqa: ANN401
    lengths = [size * STEP_MM for size in maps[0].GetSize()]
    mesh = [max(2, round(length / MESH_MM)) for length in lengths]
    bent = itk.BSplineTransformInitializer(maps[0], mesh, 3)
    method = _method(itk, bent)
    method.SetMovingInitialTransform(affine)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-4, numberOfIterations=10)
    method.Execute(*maps)
    return bent


def _method(itk: Any, start: Any) -> Any:  # noqa: ANN401
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.05, _SEED)
    method.SetInterpolator(itk.sitkLinear)
    method.SetInitialTransform(start, inPlace=True)
    return method


def _dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float | None:
    both = int(first.sum()) + int(second.sum())
    if not first.any() or not second.any():
        return None
    return 2.0 * int((first & second).sum()) / both
