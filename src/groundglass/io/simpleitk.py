"""MetaImage (`.mha`, `.mhd`) and NRRD (`.nrrd`, `.nhdr`) files, and SimpleITK images in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from groundglass.errors import InvalidImageError, NotCTError
from groundglass.finding import Finding
from groundglass.geometry import Geometry
from groundglass.io.assemble import affine_from_lps, named_grid, spatial_shape, volume_from_array
from groundglass.io.border import border
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

_KINDS = {"mha": "MetaImage file", "nrrd": "NRRD file"}


def read_itk(path: Path, file_format: str, options: ReadOptions) -> CTVolume:
    """Read one volume as HU.

    Args:
        path: the header file.
        file_format: `mha` or `nrrd`.
        options: case name, limits and progress.

    Raises:
        UnreadableFileError: damaged, truncated, or its data file is missing.
        InvalidImageError: not one volume of numbers.
        InvalidGeometryError: zero spacing or singular directions.
        InputTooLargeError: over the limits.
    """
    options.progress("read", 0, 0)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    kind = _KINDS[file_format]
    reader = SimpleITK.ImageFileReader()
    with border(path, kind):
        reader.SetImageIO("MetaImageIO" if file_format == "mha" else "NrrdImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size, channels = reader.GetSize(), reader.GetNumberOfComponents()
    _require_one_channel(channels, path.name)
    spatial_shape(tuple(size), path.name)
    require_size(tuple(size), path.name, options.settings)
    with border(path, kind):
        image = reader.Execute()
        oriented = file_format == "mha" or reader.HasMetaDataKey("NRRD_space")
    return volume_from_itk(image, options.case, file_format, findings=() if oriented else (_NO_SPACE,))


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


_NO_SPACE = Finding(
    code="no-orientation",
    severity="warning",
    text="The file does not say how the scan lies in the patient (no `space` field); "
    "the axes were taken as left, posterior, superior, so left and right lung may be swapped.",
    action="Write the file again with its `space` field, or convert the DICOM series.",
)
