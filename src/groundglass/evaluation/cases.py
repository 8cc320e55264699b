"""A labelled volume: where its images and masks are, and how they are read, one volume at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.check import check_volume
from groundglass.errors import DatasetError, GeometryMismatchError, InvalidImageError
from groundglass.evaluation.label_maps import over_scan, read_labels, same_place, voxel_by_voxel
from groundglass.evaluation.planes import Plane, is_drawn, read_mask, read_plane
from groundglass.evaluation.structures import INFECTION, LUNGS, Structure
from groundglass.geometry import Geometry
from groundglass.image.lung_view import LUNG_WINDOW, as_grey
from groundglass.image.prepare import Kind, window_to_uint8
from groundglass.io.read import read_input
from groundglass.volume import CTVolume

CaseKind = Literal["pictures", "scan"]
Spacing = tuple[float, float, float]
Planes = list[NDArray[np.bool_]]
"""Masks of the slices of a volume, [row, column] each, row 0 anterior and column 0 the patient's right; of a scan from
the feet to the head."""

INFECTED = 3
"""Infection in a map that shows lungs and infection together; 1 and 2 are the lungs."""


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
        infection_label: value of the infection where the map of its truth shows the lungs too; None: every value but 0.
        trust_headers: refuse label maps of a scan whose header places them elsewhere; otherwise those of the scan's
            size are laid over it voxel by voxel, in the order of the files.
    """

    name: str
    patient: str
    kind: CaseKind
    images: tuple[Path, ...]
    truth: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    fold: int | None = None
    spacing_mm: Spacing | None = None
    infection_label: int | None = None
    trust_headers: bool = True

    @classmethod
    def of_scan(
        cls,
        name: str,
        patient: str,
        files: Mapping[str, Path],
        *,
        fold: int | None = None,
        trust_headers: bool = True,
    ) -> LabelledCase:
        """A scan and its label maps.

        Args:
            name: of the volume.
            patient: whose it is.
            files: `ct`, and `lungs`, `infection` or `both` (1, 2 lungs; 3 infection), which stands in for either.
            fold: where it is known.
            trust_headers: see the attribute.
        """
        both = files.get("both")
        truth = {key: path for key in (LUNGS.name, INFECTION.name) if (path := files.get(key, both)) is not None}
        label = INFECTED if both is not None and INFECTION.name not in files else None
        maps = {key: (path,) for key, path in truth.items()}
        return cls(name, patient, "scan", (files["ct"],), maps, fold, None, label, trust_headers)

    def in_truth(self, structure: Structure) -> Structure:
        """A structure with the values that it has in the maps of the truth."""
        if self.infection_label is None or structure.source != INFECTION.name or structure.labels is not None:
            return structure
        return replace(structure, labels=(self.infection_label,))


@dataclass(frozen=True, eq=False)
class Image:
    """The image of a case.

    Attributes:
        scan: the scan, checked and repaired as `analyze` does; None for slices.
        slices: the slices [row, column] that lie as pictures; None for a scan.
        kind: of the slices: 8-bit pictures or Hounsfield units.
    """

    scan: CTVolume | None
    slices: tuple[Plane, ...] | None
    kind: Kind = "picture"

    def fits(self, planes: Planes) -> bool:
        """Whether masks have the number and size of the slices."""
        if self.slices is not None:
            return [one.shape for one in self.slices] == [plane.shape for plane in planes]
        assert self.scan is not None
        columns, rows, depth = self.scan.geometry.shape
        return [plane.shape for plane in planes] == [(rows, columns)] * depth

    def shown(self, index: int) -> NDArray[np.uint8]:
        """One slice as 8-bit grey [row, column]; HU from -1250 to 250."""
        if self.slices is not None:
            return as_grey(self.slices[index])
        assert self.scan is not None
        return window_to_uint8(self.scan.axial(index), *(LUNG_WINDOW if self.scan.units == "HU" else (0.0, 255.0)))


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of one case that share a grid.

    Attributes:
        planes: structure -> mask of every slice.
        spacing_mm: distance of rows, columns and slices; None where it is not known.
        geometry: grid in RAS+ order; None for pictures.
        stored: the same grid in the order of the file; None for pictures and for masks that come from no file.
    """

    planes: Mapping[str, Planes]
    spacing_mm: Spacing | None
    geometry: Geometry | None = None
    stored: Geometry | None = None


def load_image(case: LabelledCase) -> Image:
    """Read the image of a case.

    Raises:
        InputError: it cannot be read, or there is none.
    """
    if not case.images:
        raise InvalidImageError(f"{case.name}: there is no image, only masks; give predictions instead of a model")
    if case.kind == "pictures":
        return _drawn_image(case)
    scan = read_input(case.images[0])
    if not isinstance(scan, CTVolume):
        raise InvalidImageError(f"{case.images[0].name} is a picture; expected a scan with a geometry")
    return Image(check_volume(scan)[0], None)


def load_masks(
    case: LabelledCase,
    files: Mapping[str, Sequence[Path]],
    structures: Sequence[Structure],
    *,
    same_voxels: bool,
    grid: Geometry | None = None,
) -> Masks:
    """Read the masks of a case.

    Args:
        case: the case they belong to.
        files: structure source -> files.
        structures: what to read; each from the files of its source.
        same_voxels: lay label maps of the grid's size over it voxel by voxel, whatever their headers say.
        grid: of the scan, in the order of its file; None where there is none: the first map's own then.

    Raises:
        InputError: a file cannot be read, or holds other values than labels.
        GeometryMismatchError: two label maps of a scan lie on different grids.
    """
    planes: dict[str, Planes] = {}
    spacing, geometry = case.spacing_mm, None
    for source in dict.fromkeys(structure.source for structure in structures):
        parts = [structure for structure in structures if structure.source == source]
        if case.kind == "pictures":
            drawn = [read_mask(path) for path in files[source]]
            planes |= {part.name: [_picture_mask(one, part) for one in drawn] for part in parts}
            continue
        labels = read_labels(files[source][0])
        grid = grid or labels.source.geometry
        if same_voxels:
            labels = voxel_by_voxel(labels, grid)
        elif not case.trust_headers:
            labels = over_scan(labels, grid)
        geometry = geometry or labels.geometry
        require_one_grid(case.name, geometry, labels.geometry, same_voxels=same_voxels)
        x, y, z = geometry.spacing
        spacing = (y, x, z)
        depth = range(labels.geometry.shape[2])
        planes |= {part.name: [_inside(labels.axial(index), part) for index in depth] for part in parts}
    return Masks(planes, spacing, geometry, grid if geometry is not None else None)


def load_truth(case: LabelledCase, structures: Sequence[Structure], image: Image | None, *, same_voxels: bool) -> Masks:
    """Read the true masks of a case.

    Args:
        case: which one.
        structures: what to read; each has files in the truth.
        image: image of the case; None where it has none.
        same_voxels: see `load_masks`.

    Raises:
        InputError, GeometryMismatchError: see `load_masks`.
    """
    grid = image.scan.source.geometry if image is not None and image.scan is not None else None
    parts = [case.in_truth(structure) for structure in structures]
    return load_masks(case, case.truth, parts, same_voxels=same_voxels, grid=grid)


def require_one_grid(name: str, first: Geometry, second: Geometry, *, same_voxels: bool) -> None:
    """Raise unless two grids are the same, within half a voxel.

    Args:
        name: case, for the message.
        first: a grid in RAS+ order.
        second: another one.
        same_voxels: whether that has been asked for; the message recommends it otherwise.

    Raises:
        GeometryMismatchError: names both grids.
    """
    if same_place(first, second):
        return
    hint = "resample one onto the other"
    if first.shape == second.shape and not same_voxels:
        hint += ", or, if only a header is wrong, compare voxel by voxel (--same-voxels)"
    raise GeometryMismatchError(f"{name}: masks on different grids, {first} and {second}; {hint}")


def _drawn_image(case: LabelledCase) -> Image:
    read = [read_plane(path) for path in case.images]
    kinds = [kind for _, kind in read]
    if len(set(kinds)) > 1:
        raise DatasetError(
            f"{case.name} has {kinds.count('hu')} slices of 16 bits (Hounsfield units) and {kinds.count('picture')} of "
            "8 bits; expected slices of one kind in a volume"
        )
    return Image(None, tuple(plane for plane, _ in read), kinds[0])


def _picture_mask(values: NDArray[np.integer], structure: Structure) -> NDArray[np.bool_]:
    """Inside where a label says so; without labels where it is drawn."""
    return is_drawn(values) if structure.labels is None else _inside(values, structure)


def _inside(values: NDArray[np.generic], structure: Structure) -> NDArray[np.bool_]:
    if structure.labels is None:
        return np.ascontiguousarray(np.asarray(values) != 0)
    return np.ascontiguousarray(np.isin(values, structure.labels))
