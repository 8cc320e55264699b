"""What can be wrong with a DICOM series, as options for writing one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TransferSyntax = Literal[
    "implicit", "explicit", "big-endian", "deflated", "rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "jpeg-baseline"
]
Duplicate = Literal["none", "identical", "different"]
Localizer = Literal["none", "own series", "same series"]


@dataclass(frozen=True, slots=True)
class SeriesDefects:
    """How a written series departs from a plain one; the default is a plain one.

    Attributes:
        transfer_syntax: encoding of the files; `jpeg-baseline` is lossy 8 bit.
        missing_slices: slices left out, counted from the feet.
        duplicate: whether the middle slice is there twice, with the same or with other pixels.
        tilt_degrees: gantry tilt about the left-right axis.
        uneven_spacing: the upper half has only every second slice.
        shuffled_numbers: InstanceNumber does not follow the position.
        rescale_per_slice: every slice has its own RescaleSlope and RescaleIntercept.
        signed: pixels are stored signed (with intercept 0) instead of unsigned (with intercept -1024).
        localizer: a scout view is added.
        second_series: a second series of the same study with thicker slices is added.
        modality: value of Modality; `MR` also changes the SOP class.
        without_pixels: the files hold no PixelData.
        colour: the pictures are RGB secondary captures.
        without_position: ImagePositionPatient is missing.
        without_spacing: PixelSpacing is missing.
        reversed_names: file names run from head to feet while the numbers run the other way.
        matrix: rows and columns of the pictures, resampled; None keeps those of the volume.
        multi_frame: one enhanced multi-frame file instead of single slices.
        without_endings: file names have no `.dcm`.
        patient_name: value of PatientName; None leaves the standard `SYNTHETIC^PHANTOM`.
    """

    transfer_syntax: TransferSyntax = "explicit"
    missing_slices: tuple[int, ...] = ()
    duplicate: Duplicate = "none"
    tilt_degrees: float = 0.0
    uneven_spacing: bool = False
    shuffled_numbers: bool = False
    rescale_per_slice: bool = False
    signed: bool = False
    localizer: Localizer = "none"
    second_series: bool = False
    modality: str = "CT"
    without_pixels: bool = False
    colour: bool = False
    without_position: bool = False
    without_spacing: bool = False
    reversed_names: bool = False
    matrix: int | None = None
    multi_frame: bool = False
    without_endings: bool = False
    patient_name: str | None = None


PLAIN = SeriesDefects()
