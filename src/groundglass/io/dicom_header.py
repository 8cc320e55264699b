"""What is needed from a DICOM header, frame by frame, typed and without anything that identifies a patient."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from groundglass.geometry import Vector3
from groundglass.io.border import border

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

Cosines = tuple[float, float, float, float, float, float]

DICOM_ERRORS = (InvalidDicomError, BytesLengthException)
"""What pydicom raises beyond Python's own exceptions."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
}
_SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
_LONGEST_DESCRIPTION = 40

_IMAGE_TAGS = [
    "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Manufacturer",
    "ManufacturerModelName", "KVP", "ContrastBolusAgent", "ConvolutionKernel", "SliceThickness", "AcquisitionNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "BitsStored", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelRepresentation", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_PIXEL_TAGS = [
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]  # fmt: skip
"""What decoding needs besides the pixels."""
_IDENTITY_TAGS = ["PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "ReferringPhysicianName", "StudyID"]
"""Read only to strike their words out of the series description."""
_HEADER_TAGS = list(dict.fromkeys(_IMAGE_TAGS + _PIXEL_TAGS + _IDENTITY_TAGS))


@dataclass(frozen=True, slots=True)
class Rescale:
    """From stored values to HU: `stored * slope + intercept`.

    Attributes:
        slope: HU per stored value.
        intercept: HU of the stored value 0.
        known: whether the header says so (else 1 and 0).
        units: what the header calls the result; empty where it does not say.
    """

    slope: float
    intercept: float
    known: bool
    units: str


@dataclass(frozen=True, slots=True, eq=False)
class PixelPlace:
    """Where a file holds its pixels, so that its header need not be read twice.

    Attributes:
        image: what the header says about the pixels, with its file meta information.
        offset: bytes before the pixel data; None where the file is compressed as a whole.
    """

    image: Dataset
    offset: int | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane.

    Attributes:
        path: its file.
        index: frame number inside the file, from 0.
        kind: `CT`, or what it is instead, e.g. `localizer`, `secondary capture`, `MR`.
        series_uid: for grouping only; never shown in full.
        series_number: None where absent.
        description: of the series, de-identified.
        acquisition: number of the acquisition inside the series.
        rows: pixels from top to bottom.
        columns: pixels from left to right.
        pixel_spacing: (between rows, between columns) in millimetres.
        position: LPS centre of the first pixel in millimetres.
        orientation: direction cosines of a row and of a column, LPS.
        thickness: in millimetres.
        rescale: to HU.
        padding: (lowest, highest) stored value that stands for "outside the image".
        details: technical facts for the record.
        pixels: where in the file the pixels are.
    """

    path: Path
    index: int
    kind: str
    series_uid: str
    series_number: int | None
    description: str
    acquisition: int | None
    rows: int
    columns: int
    pixel_spacing: tuple[float, float] | None
    position: Vector3 | None
    orientation: Cosines | None
    thickness: float | None
    rescale: Rescale
    padding: tuple[int, int] | None
    details: Mapping[str, str]
    pixels: PixelPlace = field(compare=False, repr=False)


def read_frames(path: Path) -> list[Frame]:
    """The frames of one DICOM file, from its header alone.

    Raises:
        UnreadableFileError: damaged, truncated or not DICOM after all.
    """
    with border(path, "DICOM file", *DICOM_ERRORS), path.open("rb") as file:
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        pixels = _pixel_place(dataset, file.tell())
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
        frames = _frames(dataset, path, "unknown" if syntax is None else str(syntax.name), pixels)
    return frames


def _pixel_place(dataset: FileDataset, offset: int) -> PixelPlace:
    """What is kept of a header for decoding; `offset` is where reading it stopped."""
    image = Dataset()
    image.file_meta = dataset.file_meta
    for keyword in _PIXEL_TAGS:
        if keyword in dataset:
            tag = Tag(keyword)
            image[tag] = dataset.get_item(tag)
    image.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
    whole = getattr(dataset.file_meta, "TransferSyntaxUID", None) == DeflatedExplicitVRLittleEndian
    return PixelPlace(image, None if whole else offset)


def _frames(dataset: Dataset, path: Path, transfer_syntax: str, pixels: PixelPlace) -> list[Frame]:
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        count = _frame_count(dataset)
        return [_frame(dataset, [dataset], path, transfer_syntax, index, pixels) for index in range(count)]
    shared = dataset.get("SharedFunctionalGroupsSequence")
    shared_group = [shared[0]] if shared else []
    return [
        _frame(dataset, _macros([group, *shared_group]), path, transfer_syntax, index, pixels)
        for index, group in enumerate(per_frame)
    ]


def _macros(groups: list[Dataset]) -> list[Dataset]:
    """The items of all functional groups, those of the frame before those that all frames share."""
    return [element.value[0] for group in groups for element in group if element.VR == "SQ" and len(element.value)]


def _frame(  # one argument per thing that a frame is made of
    dataset: Dataset, where: list[Dataset], path: Path, transfer_syntax: str, index: int, pixels: PixelPlace
) -> Frame:
    places = where if where[:1] == [dataset] else [*where, dataset]
    position = numbers(places, "ImagePositionPatient", 3)
    orientation = numbers(places, "ImageOrientationPatient", 6)
    spacing = numbers(places, "PixelSpacing", 2)
    thickness = numbers(places, "SliceThickness", 1)
    return Frame(
        path=path,
        index=index,
        kind=_kind(dataset, places),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        series_number=_whole(dataset, "SeriesNumber"),
        description=_description(dataset),
        acquisition=_whole(dataset, "AcquisitionNumber"),
        rows=_whole(dataset, "Rows") or 0,
        columns=_whole(dataset, "Columns") or 0,
        pixel_spacing=None if spacing is None else (spacing[0], spacing[1]),
        position=None if position is None else (position[0], position[1], position[2]),
        orientation=None if orientation is None else _cosines(orientation),
        thickness=thickness[0] if thickness and thickness[0] > 0 else None,
        rescale=_rescale(places),
        padding=_padding(dataset),
        details=_details(dataset, places, transfer_syntax),
        pixels=pixels,
    )


def numbers(places: list[Dataset], keyword: str, count: int) -> list[float] | None:
    """The first complete, finite value of an attribute in some datasets; None where there is none."""
    for place in places:
        try:
            floats = [float(str(item)) for item in _items(place, keyword)]
        except ValueError:
            continue
        if len(floats) == count and all(math.isfinite(item) for item in floats):
            return floats
    return None


def _items(dataset: Dataset, keyword: str) -> list[object]:
    """All values of an attribute; none where absent or written in a way that cannot be converted."""
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError, OverflowError, LookupError, BytesLengthException):
        return []
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]


def _text(dataset: Dataset, keyword: str) -> str:
    return " ".join(str(item) for item in _items(dataset, keyword)).strip()


def _whole(dataset: Dataset, keyword: str) -> int | None:
    value = numbers([dataset], keyword, 1)
    return None if value is None else int(value[0])


def _frame_count(dataset: Dataset) -> int:
    return max(1, _whole(dataset, "NumberOfFrames") or 1)


def _cosines(values: list[float]) -> Cosines:
    a, b, c, d, e, f = values
    return a, b, c, d, e, f


def _kind(dataset: Dataset, places: list[Dataset]) -> str:
    sop_class, modality = _text(dataset, "SOPClassUID"), _text(dataset, "Modality").upper()
    is_ct = modality == "CT" or (not modality and sop_class in _CT_CLASSES)
    if not is_ct:
        return modality if re.fullmatch(r"[A-Z]{2,16}", modality) else "unknown modality"
    if sop_class.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    if not (_whole(dataset, "Rows") and _whole(dataset, "Columns")):
        return "no image"
    if (_whole(dataset, "SamplesPerPixel") or 1) != 1:
        return "colour picture"
    types = [str(item).upper() for place in places for key in ("ImageType", "FrameType") for item in _items(place, key)]
    return "localizer" if _SCOUTS.intersection(types) else "CT"


def _description(dataset: Dataset) -> str:
    """The series description without words of the identity, numbers that may be dates or ids, and odd characters."""
    text = _text(dataset, "SeriesDescription")
    for keyword in _IDENTITY_TAGS:
        for word in re.split(r"[\W_]+", _text(dataset, keyword)):
            if len(word) >= 3:
                text = re.sub(re.escape(word), "", text, flags=re.IGNORECASE)
    text = re.sub(r"\d{5,}|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", "", text)
    text = "".join(letter if letter.isalnum() or letter in " .,+-/()" else " " for letter in text)
    words = (word for word in text.split() if any(letter.isalnum() for letter in word))
    return " ".join(words)[:_LONGEST_DESCRIPTION]


def _rescale(places: list[Dataset]) -> Rescale:
    slope, intercept = numbers(places, "RescaleSlope", 1), numbers(places, "RescaleIntercept", 1)
    units = next((text for place in places if (text := _text(place, "RescaleType"))), "")
    known = slope is not None and intercept is not None and slope[0] != 0
    return Rescale(
        slope=slope[0] if slope and slope[0] != 0 else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        known=known,
        units=units if re.fullmatch(r"[A-Z_0-9]{1,16}", units) else "",
    )


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    first, limit = _whole(dataset, "PixelPaddingValue"), _whole(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return None
    other = first if limit is None else limit
    return min(first, other), max(first, other)


def _details(dataset: Dataset, places: list[Dataset], transfer_syntax: str) -> dict[str, str]:
    kernel = next((text for place in places if (text := _text(place, "ConvolutionKernel"))), "")
    thickness, kvp = numbers(places, "SliceThickness", 1), numbers(places, "KVP", 1)
    facts = {
        "modality": "CT",
        "manufacturer": _plain(_text(dataset, "Manufacturer")),
        "model": _plain(_text(dataset, "ManufacturerModelName")),
        "kernel": _plain(kernel),
        "slice_thickness_mm": f"{thickness[0]:g}" if thickness else "",
        "kvp": f"{kvp[0]:g}" if kvp else "",
        "contrast": "yes" if _text(dataset, "ContrastBolusAgent") else "not stated",
        "transfer_syntax": transfer_syntax,
    }
    return {key: value for key, value in facts.items() if value}


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in " .,+-_/()" else " " for letter in text)[:64].strip()
