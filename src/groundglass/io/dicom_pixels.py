"""Stored pixels of DICOM frames to Hounsfield units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from groundglass.errors import InvalidImageError, UnreadableFileError, UnsupportedFormatError
from groundglass.io.assemble import AIR_HU
from groundglass.io.border import border
from groundglass.io.dicom_codecs import decoder_for
from groundglass.io.dicom_header import DICOM_ERRORS, Frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

_HIGHEST_HU = 3071.0
_KIND = "DICOM file"
_PIXEL_GROUP = 0x7FE0


class FrameDecoder:
    """Decodes frames; the file read last is kept, so that a multi-frame file is opened once."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._dataset: Dataset | None = None

    def hounsfield(self, frame: Frame) -> NDArray[np.float32]:
        """One frame as float32 (rows, columns) in HU; padding outside the scanned circle becomes air.

        Raises:
            InvalidImageError: no pixel data.
            UnreadableFileError: damaged or truncated.
            UnsupportedFormatError: a transfer syntax that is not read.
        """
        stored = self.stored(frame)
        values = stored.astype(np.float32)
        if frame.rescale.slope != 1.0:
            values *= np.float32(frame.rescale.slope)
        if frame.rescale.intercept != 0.0:
            values += np.float32(frame.rescale.intercept)
        if frame.padding is not None:
            outside = (stored >= frame.padding[0]) & (stored <= frame.padding[1])
            # A padding value that is a plausible HU is a header left over from other data: those pixels are image.
            outside &= (values < AIR_HU) | (values > _HIGHEST_HU)
            values[outside] = AIR_HU
        return values

    def stored(self, frame: Frame) -> NDArray[np.integer]:
        """One frame as stored, (rows, columns).

        Raises:
            InputError: as `hounsfield`.
        """
        dataset = self._open(frame)
        if "PixelData" not in dataset:
            found = "floating point pixels" if "FloatPixelData" in dataset else "no pixel data"
            raise InvalidImageError(f"{frame.path.name}: the DICOM object holds {found}; expected stored CT pixels")
        syntax = _transfer_syntax(dataset)
        with border(frame.path, _KIND, *DICOM_ERRORS):
            try:
                decoder, plugin = decoder_for(syntax)
            except NotImplementedError:
                raise _unsupported(frame.path, syntax) from None
            if not decoder.is_available:
                raise _unsupported(frame.path, syntax)
            array = decoder.as_array(dataset, index=frame.index, raw=True, decoding_plugin=plugin)[0]
        if array.shape != (frame.rows, frame.columns):
            raise UnreadableFileError(
                f"{frame.path.name}: the image has the shape {array.shape}; its header says "
                f"{(frame.rows, frame.columns)}; export it again"
            )
        return np.asarray(array)

    def same_pixels(self, first: Frame, second: Frame) -> bool:
        """Whether two frames hold the same image."""
        one = self.hounsfield(first)
        return bool(np.array_equal(one, self.hounsfield(second)))

    def _open(self, frame: Frame) -> Dataset:
        if self._dataset is None or self._path != frame.path:
            with border(frame.path, _KIND, *DICOM_ERRORS):
                self._dataset = _with_pixels(frame)
            self._path = frame.path
        return self._dataset


def _with_pixels(frame: Frame) -> Dataset:
    """What the header says about the pixels, and the pixels."""
    image, offset = frame.pixels.image, frame.pixels.offset
    if offset is None:
        return pydicom.dcmread(frame.path, force=True)
    implicit, little = image.original_encoding
    with frame.path.open("rb") as file:
        file.seek(offset)
        rest = read_dataset(file, bool(implicit), bool(little), stop_when=lambda tag, *_: tag.group != _PIXEL_GROUP)
    for element in image.values():
        rest[element.tag] = element
    rest.file_meta = image.file_meta
    rest.set_original_encoding(implicit, little, image.original_character_set)
    return rest


def _transfer_syntax(dataset: Dataset) -> UID:
    stated = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if stated is not None:
        return stated
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _unsupported(path: Path, syntax: UID) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{path.name}: the pixels are packed as {syntax.name}; expected uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000; "
        "export the series uncompressed"
    )
