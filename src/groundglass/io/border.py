"""The border to other people's readers: whatever they raise leaves as an error of this package.

Messages name files, never values from a header: a header may hold a patient's name.
"""

from __future__ import annotations

import errno
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundglass.errors import (
    GroundglassError,
    InputError,
    InputNotFoundError,
    InputTooLargeError,
    OutputError,
    UnreadableFileError,
)
from groundglass.io.gzipped import GZIP_ERROR

SUPPORTED = (
    "NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr), a DICOM file, folder or .zip, "
    "or PNG/JPEG pictures"
)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 slice`, `12 slices`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_FOREIGN: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    AssertionError,
    BufferError,
    struct.error,
    zlib.error,
    GZIP_ERROR,
)


@contextmanager
def border(path: Path, what: str, *more: type[Exception]) -> Iterator[None]:
    """Translate what a foreign reader raises while it handles `path`.

    Args:
        path: the file being read; only its name is shown.
        what: what it should be, e.g. `NIfTI file`.
        more: exception classes of that reader beyond Python's own.

    Raises:
        InputNotFoundError: the file went away.
        OutputError: the disk is full (while unpacking).
        UnreadableFileError: everything else.
    """
    try:
        yield
    except GroundglassError:
        raise
    except (*_FOREIGN, *more) as error:
        raise _translated(error, path, what) from error


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Say so when a file does not fit into memory.

    Raises:
        InputTooLargeError: not enough memory.
    """
    try:
        yield
    except MemoryError as error:
        raise InputTooLargeError(f"{path.name}: not enough memory to read it; free memory or crop the scan") from error


def _translated(error: Exception, path: Path, what: str) -> InputError | OutputError:
    if isinstance(error, FileNotFoundError):
        return InputNotFoundError(f"{path.name}: this {what} (or a file it refers to) is missing; check the path")
    if isinstance(error, PermissionError):
        return UnreadableFileError(
            f"{path.name}: no permission to read this {what}; expected a readable file; change its permissions"
        )
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutputError(f"{path.name}: the disk is full while unpacking; free space in the temporary folder")
    return UnreadableFileError(
        f"{path.name}: the {what} is damaged or truncated ({type(error).__name__}); expected a complete {what}; "
        "copy or export it again"
    )


class _Quiet:
    """Counts who wants silence, so that filters and log level are changed by the first and restored by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved = warnings.catch_warnings()
        self._logger = logging.getLogger("pydicom")
        self._level = logging.NOTSET

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
                self._level = self._logger.level
                self._logger.setLevel(logging.CRITICAL + 1)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._saved.__exit__(None, None, None)
                self._logger.setLevel(self._level)


_QUIET = _Quiet()


@contextmanager
def no_warnings() -> Iterator[None]:
    """Silence warnings and logs of foreign readers, which quote header values; safe with several threads."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()
