"""What a file is, by its content; its name decides only where the content cannot."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundglass.errors import UnreadableFileError, UnsupportedFormatError
from groundglass.io.border import SUPPORTED, border

Kind = Literal["nifti", "mha", "nrrd", "dicom", "picture", "zip", "unknown", "empty", "broken"]

_HEAD = 4096
_DICM_AT = 128
_NIFTI_MAGIC = ((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (4, b"ni2\0"))
_ANALYZE = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_NAMED: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"RIFF", "a WebP picture or a video"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array without spacing"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an XZ file"),
    (b"(\xb5/\xfd", "a Zstandard file"),
)
_SUFFIX_KIND = {
    ".nii": "NIfTI",
    ".gz": "NIfTI",
    ".hdr": "NIfTI",
    ".img": "NIfTI",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".dcm": "DICOM",
    ".ima": "DICOM",
    ".dicom": "DICOM",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".zip": "ZIP",
}


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file holds.

    Attributes:
        kind: how it is read; `unknown`, `empty` and `broken` are not.
        description: in words, for messages.
    """

    kind: Kind
    description: str


def sniff(path: Path) -> Sniffed:
    """Look at the first bytes of a file.

    Raises:
        InputNotFoundError: no such file.
        UnreadableFileError: it may not be opened.
    """
    with border(path, "file"), path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return Sniffed("empty", "an empty file")
    if head.startswith(b"\x1f\x8b"):
        return _sniff_gzip(head)
    if path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file():
        return Sniffed("nifti", "a NIfTI image")
    return _sniff_bytes(head, path)


def refuse(path: Path, found: Sniffed) -> UnreadableFileError | UnsupportedFormatError:
    """The error for a file that is not read; says what it holds and what was expected."""
    if found.kind == "empty":
        return UnreadableFileError(f"{path.name}: the file is empty; expected {SUPPORTED}; copy or export it again")
    if found.kind == "broken":
        return UnreadableFileError(
            f"{path.name}: {found.description}; expected {SUPPORTED}; copy or export the file again"
        )
    promised = _SUFFIX_KIND.get(path.suffix.lower())
    named = f" although its name promises {promised}" if promised else ""
    return UnsupportedFormatError(f"{path.name}: the file holds {found.description}{named}; expected {SUPPORTED}")


def _sniff_gzip(head: bytes) -> Sniffed:
    try:
        unpacker = zlib.decompressobj(31)
        inner = unpacker.decompress(head, _HEAD)
    except zlib.error:
        return Sniffed("broken", "the gzip file is damaged at its start")
    if _is_nifti(inner):
        return Sniffed("nifti", "a NIfTI volume")
    if not inner or (len(head) < _HEAD and not unpacker.eof and len(inner) < _HEAD):
        return Sniffed("broken", "the gzip file is empty or cut off at its start")
    return Sniffed("unknown", "a gzip file without a NIfTI volume in it")


def _sniff_bytes(head: bytes, path: Path) -> Sniffed:
    if head[_DICM_AT : _DICM_AT + 4] == b"DICM" or _is_bare_dicom(head):
        return Sniffed("dicom", "a DICOM object")
    if _is_nifti(head):
        return Sniffed("nifti", "a NIfTI volume")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Sniffed("zip", "a ZIP archive")
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return Sniffed("picture", "a picture")
    if head.startswith(b"NRRD000"):
        return Sniffed("nrrd", "an NRRD volume")
    if b"NDims" in head[:1024] and (b"ElementType" in head or path.suffix.lower() in {".mha", ".mhd"}):
        return Sniffed("mha", "a MetaImage volume")
    for magic, name in _NAMED:
        if head.startswith(magic):
            return Sniffed("unknown", name)
    if _is_text(head):
        return Sniffed("unknown", "text")
    return Sniffed("unknown", "data of an unknown kind")


def _is_nifti(head: bytes) -> bool:
    if any(head[at : at + 4] == magic for at, magic in _NIFTI_MAGIC):
        return True
    return head[:4] in _ANALYZE and len(head) >= 348


def _is_bare_dicom(head: bytes) -> bool:
    """DICOM without the 128-byte preamble: a first element of group 2 or 8 with a plausible VR or length."""
    if len(head) < 16 or head[:2] not in {b"\x02\x00", b"\x08\x00"} or head[3] != 0:
        return False
    value_kind = head[4:6]
    return (value_kind.isalpha() and value_kind.isupper()) or int.from_bytes(head[4:8], "little") <= 256


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    return b"\0" not in head and printable > 0.97 * len(head)
