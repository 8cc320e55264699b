"""What a reader needs to know beside the path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePath

from groundglass.errors import InputTooLargeError
from groundglass.progress import Progress, silent
from groundglass.settings import Settings

_SUFFIXES = (
    ".nii.gz",
    ".nii",
    ".hdr",
    ".img",
    ".mha",
    ".mhd",
    ".nrrd",
    ".nhdr",
    ".dcm",
    ".dicom",
    ".ima",
    ".zip",
    ".png",
    ".jpg",
    ".jpeg",
)
_LONGEST_NAME = 80
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of one read.

    Attributes:
        case: name for the output folder.
        series: number or UID ending of the DICOM series to read; None chooses.
        allow_irregular: interpolate missing or unevenly spaced DICOM slices.
        settings: limits.
        progress: called with ("read", done, total).
    """

    case: str
    series: str | None = None
    allow_irregular: bool = False
    settings: Settings = field(default_factory=Settings)
    progress: Progress = silent


def case_name(path: PurePath) -> str:
    """A name for the output folder from the name of the input, safe on every file system.

    Letters and digits of any script, `.`, `-` and `_` stay; anything else becomes `_`.
    """
    name = path.name or (path.resolve().name if isinstance(path, Path) else "")
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    safe = safe.strip("._ ")[:_LONGEST_NAME].rstrip(".")
    if not safe.strip("_-"):
        return "scan"
    return f"{safe}_" if safe.split(".")[0].lower() in _RESERVED else safe


def require_size(shape: tuple[int, ...], name: str, settings: Settings) -> None:
    """Refuse a volume that is too large, before anything is allocated.

    Raises:
        InputTooLargeError: more voxels than `settings.max_voxels`.
    """
    voxels = 1
    for size in shape:
        voxels *= int(size)
    if voxels > settings.max_voxels:
        sizes = "x".join(str(size) for size in shape)
        raise InputTooLargeError(
            f"{name}: the header promises {sizes} = {voxels:,} voxels; at most {settings.max_voxels:,} are read; "
            "crop the scan, or raise GROUNDGLASS_MAX_VOXELS if the size is right"
        )
