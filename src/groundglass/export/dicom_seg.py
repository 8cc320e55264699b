"""DICOM Segmentation: writing with the source series, reading back as label maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from groundglass.errors import UnreadableFileError, UnsupportedFormatError
from groundglass.export.case import FinishedCase
from groundglass.export.codes import SEGMENTS, Code, Segment, segments
from groundglass.export.dicom_series_out import MANUFACTURER, NewSeries, algorithm_version, model_names, new_uid
from groundglass.export.dicom_source import DicomSource
from groundglass.geometry import Geometry
from groundglass.io.assemble import affine_from_lps
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, LabelMap, Source

DESCRIPTION = "Groundglass lungs and infection"
_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"


def segmentation(case: FinishedCase, source: DicomSource, *, number: int = 9001) -> highdicom.seg.Segmentation:
    """The masks of an analysis as one binary segmentation of the source series.

    Empty frames are kept, for viewers that expect every slice.

    Args:
        case: the analysis.
        source: its series.
        number: of the new series.
    """
    chosen = segments(case.analysis)
    series = NewSeries.make(number, DESCRIPTION)
    options: dict[str, Any] = series.equipment()
    if not source.one_image_per_plane:
        options |= _explicit_places(source.stack.geometry)
    return highdicom.seg.Segmentation(
        source_images=list(source.images),
        pixel_array=stacked(case, chosen),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(segment, case) for segment in chosen],
        instance_number=1,
        omit_empty_frames=False,
        content_label="LUNG_INFECTION",
        content_description="Lungs and infection by neural network",
        content_creator_name=f"{MANUFACTURER}^",
        **options,
    )


def stacked(case: FinishedCase, chosen: tuple[Segment, ...]) -> NDArray[np.uint8]:
    """uint8 0 or 1 (slices, rows, columns, segments) on the source's grid."""
    masks = {"lungs": case.lungs.on_source_grid(), "infection": case.infection.on_source_grid()}
    return np.stack([(masks[one.mask] == one.value).transpose(2, 1, 0) for one in chosen], axis=-1).astype(np.uint8)


def read_segmentation(path: Path) -> tuple[LabelMap, LabelMap]:
    """Read a segmentation that this program wrote back as label maps.

    Returns:
        Lungs (1 = right, 2 = left) and infection (1 = ground-glass, 2 = consolidation), on the source's grid.

    Raises:
        UnreadableFileError: damaged, or not DICOM.
        UnsupportedFormatError: not a segmentation, or none with these segments.
    """
    try:
        dataset = pydicom.dcmread(path)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise UnreadableFileError(f"{path} cannot be read as DICOM ({error}); expected a DICOM segmentation") from error
    if dataset.get("SOPClassUID") != _SOP_CLASS:
        raise UnsupportedFormatError(f"{path} is not a DICOM segmentation; expected one that `export` wrote")
    image = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
    labels = {str(item.SegmentLabel): int(item.SegmentNumber) for item in dataset.SegmentSequence}
    known = [segment for segment in SEGMENTS if segment.label in labels]
    if not known:
        raise UnsupportedFormatError(
            f"{path} has the segments {', '.join(sorted(labels))}; "
            f"expected {', '.join(segment.label for segment in SEGMENTS)}"
        )
    return _label_maps(image, known, labels, path.stem)


def _label_maps(
    image: highdicom.seg.Segmentation, known: list[Segment], labels: dict[str, int], case: str
) -> tuple[LabelMap, LabelMap]:
    affine, order = _grid_of(image)
    shape = (int(image.Columns), int(image.Rows), len(order))
    maps = {name: np.zeros(shape, dtype=np.uint8, order="F") for name in ("lungs", "infection")}
    frames = image.pixel_array
    number_of = [
        int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for group in image.PerFrameFunctionalGroupsSequence
    ]
    places = [_position(group) for group in image.PerFrameFunctionalGroupsSequence]
    of_number = {labels[segment.label]: segment for segment in known}
    for frame, number, place in zip(frames, number_of, places, strict=True):
        segment = of_number.get(number)
        if segment is not None and frame.any():
            maps[segment.mask][:, :, order[place]][frame.T > 0] = segment.value
    geometry = Geometry(shape, affine)
    source = Source(case, "dicom-seg", geometry)
    turn = geometry.ras_order()
    lungs, infection = (
        LabelMap(np.asfortranarray(turn.apply(maps[name])), geometry.reordered(turn), names, source)
        for name, names in (("lungs", LUNG_NAMES), ("infection", INFECTION_NAMES))
    )
    return lungs, infection


def _position(group: pydicom.Dataset) -> tuple[float, ...]:
    return tuple(float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient)


def _grid_of(image: highdicom.seg.Segmentation) -> tuple[NDArray[np.float64], dict[tuple[float, ...], int]]:
    """RAS affine, and the slice of each frame position."""
    shared = image.SharedFunctionalGroupsSequence[0]
    cosines = np.array([float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient])
    measures = shared.PixelMeasuresSequence[0]
    between_rows, between_columns = (float(v) for v in measures.PixelSpacing)
    normal = np.cross(cosines[:3], cosines[3:])
    places = sorted({_position(g) for g in image.PerFrameFunctionalGroupsSequence}, key=lambda p: float(p @ normal))
    first, last = np.array(places[0]), np.array(places[-1])
    step = (last - first) / (len(places) - 1) if len(places) > 1 else normal * float(measures.SliceThickness)
    steps = np.column_stack([cosines[:3] * between_columns, cosines[3:] * between_rows, step])
    x, y, z = places[0]
    return affine_from_lps((x, y, z), steps), {place: index for index, place in enumerate(places)}


def _description(segment: Segment, case: FinishedCase) -> SegmentDescription:
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"{MANUFACTURER} {model_names(case.analysis)}"[:64],
        family=codes.cid7162.ArtificialIntelligence,
        version=algorithm_version(case.analysis)[:64],
        source=MANUFACTURER,
    )
    regions = [_lateral(segment)] if segment.region is not None else None
    described = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.kind),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=new_uid(),
        tracking_id=segment.label,
        anatomic_regions=regions,
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
    if segment.laterality is not None:
        modifier = pydicom.Dataset()
        modifier.update(concept(segment.laterality))
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return described


def _lateral(segment: Segment) -> CodedConcept:
    assert segment.region is not None
    return concept(segment.region)


def concept(code: Code) -> CodedConcept:
    """A code as highdicom wants it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def _explicit_places(geometry: Geometry) -> dict[str, Any]:
    """Where every frame lies, for grids whose planes are not the source's images one by one."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine
    columns, rows, _ = geometry.spacing
    row, column, step = lps[:3, 0] / columns, lps[:3, 1] / rows, lps[:3, 2]
    between = abs(float(step @ np.cross(row, column)))
    return {
        "pixel_measures": highdicom.PixelMeasuresSequence(
            pixel_spacing=(rows, columns), slice_thickness=between, spacing_between_slices=between
        ),
        "plane_orientation": highdicom.PlaneOrientationSequence("PATIENT", [*row.tolist(), *column.tolist()]),
        "plane_positions": [
            highdicom.PlanePositionSequence("PATIENT", (lps[:3, 3] + k * step).tolist())
            for k in range(geometry.shape[2])
        ],
    }
