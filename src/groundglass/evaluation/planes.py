"""Slices and masks of labelled data that lie as pictures: one reader for training and evaluation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundglass.errors import DatasetError
from groundglass.image.prepare import Kind
from groundglass.io.raster import read_slice

Plane = NDArray[np.generic]
STORED_OFFSET = 1024
"""A 16-bit picture holds Hounsfield units plus this."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
GREY_MASK_FROM = 127


def read_plane(path: Path) -> tuple[Plane, Kind]:
    """A slice [row, column] as grey 8-bit, or, if it has 16 bits, as Hounsfield units (value - 1024).

    Raises:
        InputError: it is missing, or no picture that can be read; `DatasetError`: its values are neither.
    """
    _require_file(path, "slice")
    if not _is_wide(path):
        return read_slice(path, formats=FORMATS).pixels, "picture"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        found = "cannot be decoded" if stored is None else f"holds {stored.dtype}"
        raise DatasetError(
            f"{path} {found}; expected 8-bit grey values, or Hounsfield units + {STORED_OFFSET} in 16 bits without sign"
        )
    return (stored.astype(np.int32) - STORED_OFFSET).astype(np.int16), "hu"


def read_mask(path: Path) -> NDArray[np.integer]:
    """The values of a mask [row, column], of 8 or 16 bits, as they are stored; colours as grey.

    Raises:
        InputError: it is missing, or no picture that can be read.
    """
    _require_file(path, "mask")
    if not _is_wide(path):
        return read_slice(path, formats=FORMATS).pixels
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 2 or not np.issubdtype(stored.dtype, np.integer):
        raise DatasetError(f"the mask {path} cannot be decoded; expected a picture of 0/255, 0/1 or labels")
    return np.asarray(stored)


def is_drawn(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a mask is drawn: grey above 127, or above 0 in a mask that has no such grey."""
    return np.asarray(values > (GREY_MASK_FROM if values.max() > GREY_MASK_FROM else 0))


def _require_file(path: Path, what: str) -> None:
    if not path.is_file():
        raise DatasetError(f"the {what} {path} does not exist; correct the data set or its CSV file")


def _is_wide(path: Path) -> bool:
    """Whether a picture has more than 8 bits of grey."""
    try:
        with Image.open(path, formats=FORMATS) as opened:
            return opened.mode.startswith(("I", "F"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return False  # `read_slice` says what is wrong with it
