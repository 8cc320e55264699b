"""Decoders for compressed DICOM pixels, offered to pydicom as a plugin.

They come from `imagecodecs` (libjpeg-turbo, CharLS, OpenJPEG). GDCM, the usual choice, ends the whole process on some
damaged files, hands out no 12-bit JPEG, and takes three times as long for lossless JPEG.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels import get_decoder

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

_LABEL = "groundglass"
_LOCK = threading.Lock()
_DECODERS: dict[str, Callable[[bytes], NDArray[np.generic]]] = {
    uid.JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    uid.JPEGExtended12Bit: imagecodecs.jpeg8_decode,
    uid.JPEGLossless: imagecodecs.jpeg8_decode,
    uid.JPEGLosslessSV1: imagecodecs.jpeg8_decode,
    uid.JPEGLSLossless: imagecodecs.jpegls_decode,
    uid.JPEGLSNearLossless: imagecodecs.jpegls_decode,
    uid.JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    uid.JPEG2000: imagecodecs.jpeg2k_decode,
    uid.HTJ2KLossless: imagecodecs.jpeg2k_decode,
    uid.HTJ2KLosslessRPCL: imagecodecs.jpeg2k_decode,
    uid.HTJ2K: imagecodecs.jpeg2k_decode,
}
DECODER_DEPENDENCIES = dict.fromkeys(_DECODERS, ("imagecodecs",))
"""Asked for by pydicom."""


def is_available(syntax: str) -> bool:
    """Whether this plugin decodes a transfer syntax; asked by pydicom."""
    return syntax in _DECODERS


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame for pydicom, which applies signedness and shape.

    Args:
        source: the compressed frame.
        runner: what the header says; told the size of the decoded samples.

    Raises:
        ValueError: the frame has another size than the header says.
    """
    array = _DECODERS[runner.transfer_syntax](source)
    if array.shape != (runner.rows, runner.columns):
        raise ValueError("the compressed image has another size than its header")
    runner.set_option("bits_allocated", 8 * array.dtype.itemsize)
    return array.tobytes()


def decoder_for(syntax: str) -> tuple[Decoder, str]:
    """The pydicom decoder of a transfer syntax and the plugin to ask it for.

    Raises:
        NotImplementedError: pydicom knows no such syntax.
    """
    decoder = get_decoder(syntax)
    if syntax not in _DECODERS:
        return decoder, ""
    with _LOCK:
        if _LABEL not in decoder.available_plugins:
            decoder.add_plugin(_LABEL, (__name__, decode_frame.__name__))
    return decoder, _LABEL
