"""NRRD files: `.nrrd`, and `.nhdr` with the voxels beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError, NotCTError, UnreadableFileError, UnsupportedFormatError
from groundglass.finding import Finding
from groundglass.io.assemble import affine_from_lps, named_grid, spatial_shape, volume_from_array
from groundglass.io.border import border
from groundglass.io.gzipped import unpacking
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

KIND = "NRRD file"

# The sign of each LPS axis in the spaces that NRRD files of scans use.
_SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}

# The names of the file format for each voxel type.
_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_LONGEST_LINE = 1 << 16

_NO_SPACE = Finding(
    code="no-orientation",
    severity="warning",
    text="The file does not say how the scan lies in the patient (no `space` field); "
    "the axes were taken as left, posterior, superior, so left and right lung may be swapped.",
    action="Write the file again with its `space` field, or convert the DICOM series.",
)


def read_nrrd(path: Path, options: ReadOptions) -> CTVolume:
    """Read one volume as HU.

    Args:
        path: the `.nrrd` or `.nhdr` file.
        options: case name, limits and progress.

    Raises:
        UnreadableFileError: damaged, truncated, or its data file is missing.
        InvalidImageError: not one volume of numbers.
        InvalidGeometryError: zero spacing or singular directions.
        InputTooLargeError: over the limits.
    """
    options.progress("read", 0, 0)
    with border(path, KIND, nrrd.NRRDError), path.open("rb") as file:
        header: dict[str, Any] = dict(nrrd.read_header(file))
        start = file.tell()
        sizes = tuple(int(size) for size in header["sizes"])
        _require_own_folder(path, header)
    if "vector" in str(header.get("kinds", "")).lower() or "color" in str(header.get("kinds", "")).lower():
        raise NotCTError(f"{path.name}: colours or vectors per voxel; expected one CT number each")
    shape = spatial_shape(sizes, path.name)
    require_size(sizes, path.name, options.settings)
    with border(path, KIND, nrrd.NRRDError):
        affine, findings = _affine(header, path.name)
        kind = _voxel_type(header, path.name)
        array = np.frombuffer(_voxels(path, header, start, int(np.prod(shape)) * kind.itemsize), kind)
    source = Source(options.case, "nrrd", named_grid(shape, affine, path.name), {"voxel_type": kind.name})
    return volume_from_array(array.reshape(shape, order="F"), source, findings=findings)


def _voxel_type(header: dict[str, Any], name: str) -> np.dtype[Any]:
    stated = " ".join(str(header.get("type", "")).split())
    for code, names in _TYPES.items():
        if stated in names.split(", "):
            return np.dtype((">" if header.get("endian") == "big" else "<") + code)
    raise UnsupportedFormatError(
        f"{name}: voxels of the type {stated or 'unknown'}; expected numbers; convert the file"
    )


def _voxels(path: Path, header: dict[str, Any], start: int, size: int) -> bytes:
    """The bytes of the voxels; never unpacks more than the header promises."""
    encoding = str(header.get("encoding", "")).lower()
    detached = header.get("data file", header.get("datafile"))
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    with (path.parent / detached if detached else path).open("rb") as file:
        file.seek(0 if detached else start)
        for _ in range(lines):
            file.readline(_LONGEST_LINE)
        if encoding == "raw":
            file.seek(*((-size, 2) if skip < 0 else (skip, 1)))
            data = file.read(size)
        elif encoding in {"gzip", "gz"} and skip >= 0:
            data = unpacking(file).read(size + skip)[skip:]
        else:
            raise UnsupportedFormatError(
                f"{path.name}: voxels written as {encoding or 'nothing'}; expected raw or gzip"
            )
    if len(data) < size:
        raise UnreadableFileError(
            f"{path.name}: {len(data):,} bytes of voxels; the header promises {size:,}; copy or export it again"
        )
    return data


def _affine(header: dict[str, Any], name: str) -> tuple[NDArray[np.float64], tuple[Finding, ...]]:
    space = header.get("space")
    directions = header.get("space directions")
    if directions is None:
        spacing = np.asarray(header.get("spacings", (1.0, 1.0, 1.0)), dtype=np.float64)[:3]
        return affine_from_lps((0.0, 0.0, 0.0), np.diag(spacing)), (_NO_SPACE,)
    if space is not None and str(space).lower() not in _SPACES:
        raise InvalidImageError(f"{name}: the space is {space}; expected one of {', '.join(sorted(_SPACES))}")
    signs = np.array(_SPACES[str(space).lower()] if space is not None else (1.0, 1.0, 1.0))
    rows = np.array([row for row in np.asarray(directions, dtype=np.float64) if np.isfinite(row).all()])[:3]
    origin = np.asarray(header.get("space origin", (0.0, 0.0, 0.0)), dtype=np.float64)[:3] * signs
    affine = affine_from_lps((origin[0], origin[1], origin[2]), (rows * signs).T)
    return affine, () if space is not None else (_NO_SPACE,)


def _require_own_folder(path: Path, header: dict[str, Any]) -> None:
    data = header.get("data file") or header.get("datafile")
    if data is not None and (not isinstance(data, str) or Path(data).name != data):
        raise InvalidImageError(
            f"{path.name}: the voxels are said to be in a list of files or at another folder; expected one file beside "
            "the header; convert the file"
        )
