"""MetaImage files: `.mha` (header and voxels in one file) and `.mhd` (voxels beside it).

The format (ITK, "MetaIO documentation") is lines of `Key = Value` that end with `ElementDataFile`; the voxels follow,
plain or zlib-compressed. The world is LPS, as in ITK.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError, NotCTError, UnreadableFileError, UnsupportedFormatError
from groundglass.io.assemble import affine_from_lps, named_grid, spatial_shape, volume_from_array
from groundglass.io.border import border
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

KIND = "MetaImage file"
_LONGEST_HEADER = 1 << 16
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


@dataclass(frozen=True)
class _Header:
    fields: Mapping[str, str]
    length: int
    name: str

    def text(self, *keys: str, default: str = "") -> str:
        return next((self.fields[key] for key in keys if key in self.fields), default)

    def numbers(self, *keys: str, default: str = "") -> list[float]:
        return [float(part) for part in self.text(*keys, default=default).split()]

    def yes(self, *keys: str) -> bool:
        return self.text(*keys, default="False").lower() in {"true", "1"}


def read_metaimage(path: Path, options: ReadOptions) -> CTVolume:
    """Read one volume as HU.

    Args:
        path: the `.mha` or `.mhd` file.
        options: case name, limits and progress.

    Raises:
        UnreadableFileError: damaged, truncated, or its data file is missing.
        UnsupportedFormatError: voxels as text, in a list of files, or of an unknown type.
        InvalidImageError: not one volume of numbers.
        InvalidGeometryError: zero spacing or singular directions.
        InputTooLargeError: over the limits.
    """
    options.progress("read", 0, 0)
    with border(path, KIND):
        header = _read_header(path)
        sizes = tuple(int(value) for value in header.numbers("DimSize"))
        channels = int(header.text("ElementNumberOfChannels", default="1"))
    if channels != 1:
        raise NotCTError(
            f"{path.name}: {channels} channels per voxel (colours or vectors); expected one CT number each"
        )
    shape = spatial_shape(sizes, path.name)
    require_size(sizes, path.name, options.settings)
    kind = _voxel_type(header)
    with border(path, KIND):
        affine = _affine(header)
        array = _voxels(path, header, kind, shape)
    source = Source(options.case, "mha", named_grid(shape, affine, path.name), {"voxel_type": kind.name})
    return volume_from_array(array, source)


def _read_header(path: Path) -> _Header:
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            key, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return _Header(fields, file.tell(), path.name)
    raise UnreadableFileError(f"{path.name}: the header has no ElementDataFile line; expected a complete {KIND}")


def _voxel_type(header: _Header) -> np.dtype[np.generic]:
    name = header.text("ElementType")
    if name not in _TYPES or header.text("BinaryData", default="True").lower() == "false":
        raise UnsupportedFormatError(
            f"{header.name}: voxels of type {name or 'unknown'} written "
            f"{'in binary' if header.yes('BinaryData') else 'as text'}; expected binary numbers; convert the file"
        )
    order = ">" if header.yes("BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    return np.dtype(order + _TYPES[name])


def _affine(header: _Header) -> NDArray[np.float64]:
    axes = int(header.text("NDims"))
    identity = " ".join(str(value) for value in np.eye(axes).ravel())
    turned = header.numbers("TransformMatrix", "Rotation", "Orientation", default=identity)
    directions = np.reshape(turned, (axes, axes))[:3, :3].T
    zeros = " ".join(["0"] * axes)
    x, y, z = header.numbers("Offset", "Position", "Origin", default=zeros)[:3]
    spacing = header.numbers("ElementSpacing", "ElementSize", default=" ".join(["1"] * axes))[:3]
    return affine_from_lps((x, y, z), directions * spacing)


def _voxels(
    path: Path, header: _Header, kind: np.dtype[np.generic], shape: tuple[int, int, int]
) -> NDArray[np.generic]:
    count = int(np.prod(shape))
    with _data_file(path, header, count * kind.itemsize) as file:
        if header.yes("CompressedData"):
            data = zlib.decompressobj().decompress(file.read(), count * kind.itemsize)
        else:
            data = file.read(count * kind.itemsize)
    if len(data) < count * kind.itemsize:
        raise UnreadableFileError(
            f"{header.name}: {len(data):,} bytes of voxels; expected {count * kind.itemsize:,}; copy it again"
        )
    return np.frombuffer(data, kind, count).reshape(shape, order="F")


def _data_file(path: Path, header: _Header, size: int) -> IO[bytes]:
    name = header.text("ElementDataFile")
    if name.upper() == "LOCAL":
        file = path.open("rb")
        file.seek(header.length)
        return file
    if name.upper().startswith("LIST") or "%" in name:
        raise UnsupportedFormatError(f"{path.name}: the voxels are in a list of files; expected one; convert the file")
    if Path(name).name != name:
        raise InvalidImageError(
            f"{path.name}: the voxels are said to be at another folder; expected a file beside the header; "
            "put both into one folder and correct ElementDataFile"
        )
    file = (path.parent / name).open("rb")
    skip = int(header.text("HeaderSize", default="0"))
    # -1 stands for a header of unknown length: the voxels are the last bytes of the file.
    file.seek(skip) if skip >= 0 else file.seek(-size, 2)
    return file
