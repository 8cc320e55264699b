"""A labelled volume: where its images and masks are, and how they are read, one volume at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.check import check_volume
from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.evaluation.structures import Structure
from groundglass.geometry import Geometry
from groundglass.io.raster import read_slice
from groundglass.io.read import read_input
from groundglass.volume import CTVolume, PictureSet, Slice2D

CaseKind = Literal["pictures", "scan"]
Spacing = tuple[float, float, float]
Planes = list[NDArray[np.bool_]]
"""Masks of the slices of a volume, [row, column] each, row 0 anterior and column 0 the patient's right; of a scan from
the feet to the head."""

GREY_MASK_FROM = 127


@dataclass(frozen=True)
class LabelledCase:
    """One volume with its truth.

    Attributes:
        name: name of the volume.
        patient: whose volume it is; volumes of one patient are resampled together.
        kind: `pictures` (a file per slice) or `scan` (one file with a geometry).
        images: files of the slices, or the one file of the scan; empty where only masks are compared.
        truth: structure -> files of its masks, in the order of `images`.
        fold: fold of a cross-validation, where the data have one.
        spacing_mm: distance of rows, of columns and of slices of pictures, where it is known.
    """

    name: str
    patient: str
    kind: CaseKind
    images: tuple[Path, ...]
    truth: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    fold: int | None = None
    spacing_mm: Spacing | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """The image of a case.

    Attributes:
        scan: the scan, checked and repaired as `analyze` does; None for pictures.
        pictures: the pictures; None for a scan.
    """

    scan: CTVolume | None
    pictures: PictureSet | None

    def shown(self, index: int) -> NDArray[np.uint8]:
        """One slice as 8-bit grey [row, column]; HU from -1250 to 250."""
        if self.pictures is not None:
            return self.pictures.slices[index].pixels
        assert self.scan is not None
        from groundglass.image.prepare import window_to_uint8

        low, high = (-1250.0, 250.0) if self.scan.units == "HU" else (0.0, 255.0)
        return window_to_uint8(self.scan.axial(index), low, high)


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of one case that share a grid.

    Attributes:
        planes: structure -> mask of every slice.
        spacing_mm: distance of rows, columns and slices; None where it is not known.
        geometry: grid in RAS+ order; None for pictures.
    """

    planes: Mapping[str, Planes]
    spacing_mm: Spacing | None
    geometry: Geometry | None = None


def load_image(case: LabelledCase) -> Image:
    """Read the image of a case.

    Raises:
        InputError: it cannot be read, or there is none.
    """
    if not case.images:
        raise InvalidImageError(f"{case.name}: there is no image, only masks; give predictions instead of a model")
    if case.kind == "pictures":
        return Image(None, PictureSet(case.name, tuple(read_slice(path) for path in case.images)))
    scan = read_input(case.images[0])
    if not isinstance(scan, CTVolume):
        raise InvalidImageError(f"{case.images[0].name} is a picture; expected a scan with a geometry")
    return Image(check_volume(scan)[0], None)


def load_masks(
    case: LabelledCase, files: Mapping[str, Sequence[Path]], structures: Sequence[Structure], *, same_voxels: bool
) -> Masks:
    """Read the masks of a case.

    Args:
        case: the case they belong to.
        files: structure source -> files.
        structures: what to read; each from the files of its source.
        same_voxels: take scans of equal size for one grid, whatever their headers say.

    Raises:
        InputError: a file cannot be read.
        GeometryMismatchError: two label maps of a scan lie on different grids.
    """
    planes: dict[str, Planes] = {}
    spacing, geometry = case.spacing_mm, None
    for source in dict.fromkeys(structure.source for structure in structures):
        parts = [structure for structure in structures if structure.source == source]
        if case.kind == "pictures":
            pictures = [read_slice(path) for path in files[source]]
            planes |= {part.name: [_picture_mask(one, part) for one in pictures] for part in parts}
            continue
        volume = _label_map(files[source][0])
        if geometry is not None:
            require_one_grid(case.name, geometry, volume.geometry, same_voxels=same_voxels)
        geometry = geometry or volume.geometry
        x, y, z = geometry.spacing
        spacing = (y, x, z)
        depth = range(volume.geometry.shape[2])
        planes |= {part.name: [_inside(volume.axial(index), part) for index in depth] for part in parts}
    return Masks(planes, spacing, geometry)


def require_one_grid(name: str, first: Geometry, second: Geometry, *, same_voxels: bool) -> None:
    """Raise unless two grids are the same.

    Args:
        name: case, for the message.
        first: a grid in RAS+ order.
        second: another one.
        same_voxels: only the number of voxels along each axis counts.

    Raises:
        GeometryMismatchError: names both grids.
    """
    if first.shape == second.shape and (same_voxels or first.matches(second)):
        return
    hint = "resample one onto the other"
    if first.shape == second.shape:
        hint += ", or, if only a header is wrong, compare voxel by voxel (--same-voxels)"
    raise GeometryMismatchError(f"{name}: masks on different grids, {first} and {second}; {hint}")


def _label_map(path: Path) -> CTVolume:
    volume = read_input(path)
    if not isinstance(volume, CTVolume):
        raise InvalidImageError(f"{path.name} is a picture; expected a label map with a geometry")
    return volume


def _picture_mask(picture: Slice2D, structure: Structure) -> NDArray[np.bool_]:
    """Inside where a label says so; without labels grey above 127, or above 0 in a picture that has no such grey."""
    pixels = picture.pixels
    if structure.labels is None and pixels.max() > GREY_MASK_FROM:
        return np.asarray(pixels > GREY_MASK_FROM)
    return _inside(pixels, structure)


def _inside(values: NDArray[np.generic], structure: Structure) -> NDArray[np.bool_]:
    if structure.labels is None:
        return np.ascontiguousarray(np.asarray(values) != 0)
    return np.ascontiguousarray(np.isin(values, structure.labels))
