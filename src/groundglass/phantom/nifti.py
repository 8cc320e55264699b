"""Writing phantoms as NIfTI in any orientation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt
from numpy.typing import DTypeLike, NDArray

from groundglass.errors import OptionError
from groundglass.geometry import AxisOrder, Geometry
from groundglass.nifti_image import nifti_image
from groundglass.volume import CTVolume, LabelMap


def orientations() -> list[str]:
    """The codes of all 48 axis orientations, e.g. `RAS`, `LPI`, `SAR`."""
    from itertools import permutations, product

    return ["".join(code) for axes in permutations(("RL", "AP", "SI")) for code in product(*axes)]


def axis_order(orientation: str) -> AxisOrder:
    """How to reorder a RAS+ array so that its axes grow in the directions of `orientation`.

    Raises:
        OptionError: not three letters that name each body axis once.
    """
    pairs = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    if len(orientation) != 3 or sorted(pairs.get(letter, -1) for letter in orientation) != [0, 1, 2]:
        raise OptionError(f"the orientation is {orientation!r}; expected three letters such as RAS, LPI or SAR")
    codes = axcodes2ornt(tuple(orientation))
    axes = [int(axis) for axis in codes[:, 0]]
    flips = [bool(direction < 0) for direction in codes[:, 1]]
    return AxisOrder((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def turned(geometry: Geometry, degrees: float) -> Geometry:
    """The same grid with the patient turned obliquely: about all three axes, around the middle of the volume."""
    angle = np.radians(degrees)
    axis = np.array([0.48, -0.36, 0.80])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    middle = geometry.world((np.array(geometry.shape) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ geometry.affine[:3, :3]
    affine[:3, 3] = middle + rotation @ (geometry.affine[:3, 3] - middle)
    return Geometry(geometry.shape, affine)


def write_nifti(
    image: CTVolume | LabelMap,
    path: Path,
    *,
    orientation: str = "LPI",
    dtype: DTypeLike = np.int16,
    oblique_degrees: float = 0.0,
    scaling: tuple[float, float] | None = None,
) -> Path:
    """Write a volume or its truth as NIfTI.

    Args:
        image: what to write; RAS+ order.
        path: file to write, `.nii` or `.nii.gz`.
        orientation: direction in which each axis of the file grows.
        dtype: voxel type of the file; labels are always uint8.
        oblique_degrees: turn the grid away from the body axes.
        scaling: (slope, intercept) to store with the values; voxels hold (value - intercept) / slope.

    Returns:
        The path.

    Raises:
        OptionError: an impossible orientation.
    """
    order = axis_order(orientation)
    is_label = isinstance(image, LabelMap)
    array: NDArray[Any] = image.labels if isinstance(image, LabelMap) else image.values
    geometry = turned(image.geometry, oblique_degrees) if oblique_degrees else image.geometry
    stored = np.ascontiguousarray(order.apply(array))
    if not is_label:
        values = stored.astype(np.float64) if scaling else stored
        if scaling:
            values = (values - scaling[1]) / scaling[0]
        stored = _as_type(values, np.dtype(dtype))
    file = nifti_image(stored, geometry.reordered(order).affine)
    if scaling and not is_label:
        file.header.set_slope_inter(*scaling)
    nibabel.save(file, path)
    return path


def _as_type(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max).astype(dtype)
    return values.astype(dtype)
