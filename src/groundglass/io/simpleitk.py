"""SimpleITK images in memory; the caller who has one has SimpleITK installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from groundglass.errors import InvalidImageError, NotCTError
from groundglass.finding import Finding
from groundglass.geometry import Geometry
from groundglass.io.assemble import affine_from_lps, named_grid, spatial_shape, volume_from_array
from groundglass.volume import CTVolume, Source

if TYPE_CHECKING:
    import SimpleITK


def volume_from_itk(
    image: SimpleITK.Image, case: str, file_format: str, *, findings: tuple[Finding, ...] = ()
) -> CTVolume:
    """A volume from a SimpleITK image, whose axes are (x, y, z) and whose world is LPS.

    Args:
        image: three axes, or four of which the last has one frame.
        case: name for the output folder.
        file_format: where it came from.
        findings: remarks made so far.

    Raises:
        InvalidImageError: not one volume of real numbers.
        NotCTError: several channels.
    """
    _require_one_channel(image.GetNumberOfComponentsPerPixel(), case)
    shape = spatial_shape(tuple(image.GetSize()), case)
    if "complex" in image.GetPixelIDTypeAsString() or "label" in image.GetPixelIDTypeAsString():
        raise InvalidImageError(
            f"{case}: the voxels are of the type {image.GetPixelIDTypeAsString()}; expected integers or real numbers"
        )
    import SimpleITK

    array = SimpleITK.GetArrayViewFromImage(image)
    array = array.reshape(array.shape[-3:]).transpose(2, 1, 0)
    source = Source(case, file_format, _grid(image, shape, case), {"voxel_type": str(array.dtype)})
    return volume_from_array(array, source, findings=findings)


def _grid(image: SimpleITK.Image, shape: tuple[int, int, int], name: str) -> Geometry:
    axes = image.GetDimension()
    directions = np.asarray(image.GetDirection()).reshape(axes, axes)[:3, :3]
    x, y, z = image.GetOrigin()[:3]
    return named_grid(shape, affine_from_lps((x, y, z), directions * image.GetSpacing()[:3]), name)


def _require_one_channel(channels: int, name: str) -> None:
    if channels != 1:
        raise NotCTError(f"{name}: {channels} channels per voxel (colours or vectors); expected one CT number each")
