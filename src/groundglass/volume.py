"""Images with their geometry: a CT volume, label maps and heat maps on its grid, and a slice without geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.finding import Finding
from groundglass.geometry import Geometry

if TYPE_CHECKING:
    import nibabel
    import SimpleITK

LUNG_NAMES: Mapping[int, str] = {1: "right lung", 2: "left lung"}
INFECTION_NAMES: Mapping[int, str] = {1: "ground-glass", 2: "consolidation"}

Units = Literal["HU", "grey"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a volume came from; holds nothing that identifies a patient.

    Attributes:
        case: name for the output folder.
        format: `nifti`, `dicom`, `mha`, `nrrd`, `array`, ...
        geometry: the grid of the file, onto which results are written back.
        details: de-identified technical facts, e.g. `{"kernel": "B70f", "slice_thickness_mm": "2"}`.
    """

    case: str
    format: str
    geometry: Geometry
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class CTVolume:
    """A CT scan in RAS+ order.

    Attributes:
        values: (x, y, z), float32, or int16 where every value is a whole number (half the memory); x to the
            patient's right, y to anterior, z to superior; in Fortran order where
            the reader made it, so that an axial slice is one block of memory.
        geometry: grid of `values`.
        source: origin, with the grid of the file.
        units: `HU`, or `grey` (0..255, a windowed copy of a scan: no Hounsfield units can be known).
        findings: remarks made while reading.
    """

    values: NDArray[np.float32 | np.int16]
    geometry: Geometry
    source: Source
    units: Units = "HU"
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        """Check that the array fits the grid."""
        _check_shape(self.values, self.geometry)
        if self.values.dtype not in (np.float32, np.int16):
            raise InvalidImageError(f"the voxel type is {self.values.dtype}; expected float32 or int16")

    @classmethod
    def from_source(
        cls,
        array: NDArray[Any],
        source: Source,
        *,
        units: Units = "HU",
        findings: tuple[Finding, ...] = (),
    ) -> CTVolume:
        """Bring an array on the file's own grid into RAS+ order.

        Args:
            array: (i, j, k) on `source.geometry`, HU or grey values.
            source: origin of the array.
            units: what the values are.
            findings: remarks made while reading.
        """
        _check_shape(array, source.geometry)
        order = source.geometry.ras_order()
        kind = np.int16 if array.dtype == np.int16 else np.float32
        values: NDArray[np.float32 | np.int16] = np.asarray(order.apply(array), dtype=kind, order="F")
        return cls(values, source.geometry.reordered(order), source, units, findings)

    def with_values(
        self, values: NDArray[np.float32 | np.int16], *, units: Units, findings: tuple[Finding, ...]
    ) -> CTVolume:
        """The same scan with other values (after a repair), units and findings."""
        return replace(self, values=values, units=units, findings=findings)

    def axial(self, z: int) -> NDArray[np.float32]:
        """One axial slice as radiologists look at it.

        Args:
            z: slice index from the feet.

        Returns:
            (rows, columns), a view where the values are float32: row 0 anterior, column 0 the patient's right.
        """
        return np.asarray(self.values[::-1, ::-1, z].T, dtype=np.float32)

    def on_source_grid(self) -> NDArray[Any]:
        """The values in the axis order of the input file (a view)."""
        return self.source.geometry.ras_order().undo(self.values)

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """The scan as a nibabel image on the input's own grid and affine."""
        from groundglass.nifti_image import nifti_image

        return nifti_image(self.on_source_grid(), self.source.geometry.affine)

    def to_simpleitk(self) -> SimpleITK.Image:
        """The scan as a SimpleITK image on the input's own grid.

        Raises:
            OptionError: SimpleITK is not installed.
        """
        from groundglass.itk_image import itk_image

        return itk_image(self.on_source_grid(), self.source.geometry.affine)


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Labels on the grid of a scan.

    Attributes:
        labels: uint8 (x, y, z) in RAS+ order, 0 = background.
        geometry: grid of `labels`.
        names: label value -> name.
        source: origin of the scan; its grid is the one that is written.
    """

    labels: NDArray[np.uint8]
    geometry: Geometry
    names: Mapping[int, str]
    source: Source

    def __post_init__(self) -> None:
        """Check that the array fits the grid."""
        _check_shape(self.labels, self.geometry)
        if self.labels.dtype != np.uint8:
            raise InvalidImageError(f"the label type is {self.labels.dtype}; expected uint8")

    def on_source_grid(self) -> NDArray[np.uint8]:
        """The labels in the axis order of the input file (a view)."""
        return self.source.geometry.ras_order().undo(self.labels)

    def axial(self, z: int) -> NDArray[np.uint8]:
        """One axial slice, oriented as `CTVolume.axial`."""
        return self.labels[::-1, ::-1, z].T

    def volume_ml(self, label: int) -> float:
        """Volume of one label in millilitres."""
        return float(np.count_nonzero(self.labels == label) * self.geometry.voxel_ml)

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """The label map as a nibabel image on the input's own grid and affine."""
        from groundglass.nifti_image import nifti_image

        return nifti_image(self.on_source_grid(), self.source.geometry.affine)

    def to_simpleitk(self) -> SimpleITK.Image:
        """The label map as a SimpleITK image on the input's own grid.

        Raises:
            OptionError: SimpleITK is not installed.
        """
        from groundglass.itk_image import itk_image

        return itk_image(self.on_source_grid(), self.source.geometry.affine)


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """A probability or attention for every voxel of a scan.

    Attributes:
        values: uint8 (x, y, z) in RAS+ order; 0..255 stands for 0..1.
        geometry: grid of `values`.
        source: origin of the scan; its grid is the one that is written.
    """

    values: NDArray[np.uint8]
    geometry: Geometry
    source: Source

    def __post_init__(self) -> None:
        """Check that the array fits the grid."""
        _check_shape(self.values, self.geometry)

    def on_source_grid(self) -> NDArray[np.uint8]:
        """The values in the axis order of the input file (a view)."""
        return self.source.geometry.ras_order().undo(self.values)

    def axial(self, z: int) -> NDArray[np.uint8]:
        """One axial slice, oriented as `CTVolume.axial`."""
        return self.values[::-1, ::-1, z].T


@dataclass(frozen=True, slots=True, eq=False)
class Slice2D:
    """A picture of one CT slice: grey values without Hounsfield units and without millimetres.

    Attributes:
        pixels: uint8 (rows, columns) as shown on a screen.
        name: file name with its ending, the picture's name in the results.
        findings: remarks made while reading.
    """

    pixels: NDArray[np.uint8]
    name: str
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        """Check shape and type."""
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8 or 0 in self.pixels.shape:
            raise InvalidImageError(
                f"{self.name}: the picture is {self.pixels.dtype} of shape {self.pixels.shape}; "
                "expected uint8 rows x columns"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """One picture or a folder of them, analyzed as one case.

    Attributes:
        case: name for the output folder.
        slices: the pictures in file-name order.
        findings: remarks about the folder (files left out, ...).
    """

    case: str
    slices: tuple[Slice2D, ...]
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty set."""
        if not self.slices:
            raise InvalidImageError(f"{self.case}: no picture in the set; expected at least one")


def require_same_grid(first: CTVolume | LabelMap | Heatmap, second: CTVolume | LabelMap | Heatmap) -> None:
    """Raise unless two volumes share a grid.

    Raises:
        GeometryMismatchError: names both grids.
    """
    if not first.geometry.matches(second.geometry):
        raise GeometryMismatchError(
            f"two volumes are on different grids: {first.geometry} and {second.geometry}; "
            "resample one onto the grid of the other first"
        )


def _check_shape(array: NDArray[Any], geometry: Geometry) -> None:
    if array.shape != geometry.shape:
        raise InvalidImageError(f"the array has the shape {array.shape}; its grid says {geometry.shape}")
