"""The door for images in memory: arrays, nibabel and SimpleITK images become a `CTVolume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.errors import InvalidImageError, OptionError
from groundglass.finding import Finding
from groundglass.geometry import Vector3
from groundglass.io.assemble import named_grid, require_real_numbers, spatial_shape, volume_from_array
from groundglass.io.border import border
from groundglass.io.options import case_name
from groundglass.volume import CTVolume, Source

if TYPE_CHECKING:
    import nibabel
    import SimpleITK


def from_array(
    array: NDArray[Any],
    *,
    spacing: Vector3 | None = None,
    affine: ArrayLike | None = None,
    case: str = "array",
) -> CTVolume:
    """A volume from HU in memory.

    Args:
        array: (i, j, k). With `spacing`, the axes run to the patient's right, to anterior and to superior.
        spacing: voxel sizes in millimetres; or
        affine: 4x4, voxel index -> RAS millimetres (as in nibabel). Exactly one of the two.
        case: name for the output folder.

    Raises:
        OptionError: neither or both of `spacing` and `affine`.
        InvalidImageError: not one volume of real numbers.
        InvalidGeometryError: a spacing or affine that describes no volume.
    """
    if (spacing is None) == (affine is None):
        raise OptionError("give either `spacing` or `affine` with an array, so that its millimetres are known")
    require_real_numbers(array.dtype, case)
    shape = spatial_shape(array.shape, case)
    if spacing is not None and np.shape(spacing) != (3,):
        raise InvalidImageError(f"{case}: the spacing is {spacing}; expected three sizes in millimetres")
    matrix = np.diag([*spacing, 1.0]) if spacing is not None else affine
    source = Source(case_name(Path(case)), "array", named_grid(shape, np.asarray(matrix), case))
    return volume_from_array(array.reshape(shape), source)


def from_nibabel(image: nibabel.spatialimages.SpatialImage, *, case: str = "image") -> CTVolume:
    """A volume from a nibabel image.

    Args:
        image: its own header decides on the grid, as for a NIfTI file.
        case: name for the output folder.

    Raises:
        InputError: as `read_input` for a NIfTI file.
    """
    import nibabel as reader

    from groundglass.io.nifti import grid_of_header

    shape = spatial_shape(image.shape, case)
    findings: tuple[Finding, ...] = ()
    if isinstance(image, reader.Nifti1Pair):
        geometry, findings = grid_of_header(image.header, case)
    else:
        geometry = named_grid(shape, image.affine, case)
    with border(Path(case), "image"):
        array = np.asanyarray(image.dataobj)
    source = Source(case_name(Path(case)), "nibabel", geometry, {"voxel_type": str(array.dtype)})
    return volume_from_array(array.reshape(shape), source, findings=findings)


def from_simpleitk(image: SimpleITK.Image, *, case: str = "image") -> CTVolume:
    """A volume from a SimpleITK image (its world is LPS; converted once, here as for files).

    Args:
        image: one volume of HU.
        case: name for the output folder.

    Raises:
        InputError: not one volume of real numbers.
    """
    from groundglass.io.simpleitk import volume_from_itk

    return volume_from_itk(image, case_name(Path(case)), "simpleitk")
