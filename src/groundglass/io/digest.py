"""A checksum of the files of a volume, by which it is known again under any other name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def files_digest(paths: Iterable[Path]) -> str | None:
    """Checksum of the bytes of some files, whatever they are called and however they are ordered.

    Args:
        paths: files, or folders of files (a DICOM series).

    Returns:
        32 hexadecimal digits; None where there is no file, or one cannot be read.
    """
    marks = []
    try:
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_dir() or (file != path and file.name.startswith(".")):
                    continue
                with file.open("rb") as opened:
                    marks.append(hashlib.file_digest(opened, _hash).digest())
    except OSError:
        return None
    return hashlib.blake2b(b"".join(sorted(marks)), digest_size=16).hexdigest() if marks else None


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
