"""Gzip by ISA-L, which unpacks twice and packs ten times as fast as zlib."""

from __future__ import annotations

from typing import IO, Any, cast

from isal import igzip, isal_zlib

LEVEL = 1
"""Of 0 to 3: label maps shrink a hundredfold in 0.01 s."""

GZIP_ERROR = cast("type[Exception]", isal_zlib.error)
"""Raised for damaged data, beside `OSError` and `EOFError`."""

_File: Any = igzip.IGzipFile


def unpacking(file: IO[bytes]) -> IO[bytes]:
    """A file that reads what is packed in `file`; closing it leaves `file` open."""
    return cast("IO[bytes]", _File(fileobj=file))


def packing(file: IO[bytes]) -> IO[bytes]:
    """A file whose content is packed into `file`, without name or time: the same content gives the same bytes."""
    return cast("IO[bytes]", _File("", "wb", LEVEL, file, mtime=0))
