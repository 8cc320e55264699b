"""MetaImage and NRRD against SimpleITK, which writes them here."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from groundglass.errors import (
    InputNotFoundError,
    InputTooLargeError,
    InvalidImageError,
    NotCTError,
    UnreadableFileError,
    UnsupportedFormatError,
)
from groundglass.io.read import read_input
from groundglass.settings import Settings
from groundglass.volume import CTVolume

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
AXES = list(itertools.permutations(range(3)))


def image(order: tuple[int, ...] = (0, 1, 2), flips: tuple[int, ...] = (1, 1, 1)) -> SimpleITK.Image:
    """Asymmetric voxels, oblique and anisotropic, with the axes permuted and flipped."""
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(6, 5, 4) - 1000
    itk = SimpleITK.GetImageFromArray(values)
    tilt = np.deg2rad(12.0)
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    itk.SetDirection((turn[:, order] * flips).ravel().tolist())
    itk.SetSpacing((0.7, 1.1, 2.5))
    itk.SetOrigin((-31.0, 17.0, -250.5))
    return itk


def world_of(itk: SimpleITK.Image, index: tuple[int, int, int]) -> np.ndarray:
    return np.array(itk.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("order", AXES, ids=str)
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)], ids=str)
def test_voxels_are_where_simpleitk_says(
    tmp_path: Path, suffix: str, order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    itk = image(order, flips)
    path = tmp_path / f"scan{suffix}"
    SimpleITK.WriteImage(itk, str(path))
    volume = read_input(path)
    assert isinstance(volume, CTVolume)
    for index in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (0, 0, 5), (2, 3, 4)):
        place = volume.geometry.index(world_of(itk, index))
        nearest = np.rint(place).astype(int)
        np.testing.assert_allclose(place, nearest, atol=1e-3)
        assert volume.values[tuple(nearest)] == itk[index]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "kind", [SimpleITK.sitkUInt8, SimpleITK.sitkInt32, SimpleITK.sitkFloat32, SimpleITK.sitkFloat64]
)
@pytest.mark.parametrize("compress", [False, True])
def test_voxel_types_and_compression(tmp_path: Path, suffix: str, kind: int, compress: bool) -> None:
    itk = SimpleITK.Cast(SimpleITK.Abs(image()) / 8, kind)
    path = tmp_path / f"scan{suffix}"
    SimpleITK.WriteImage(itk, str(path), useCompression=compress)
    volume = read_input(path)
    assert isinstance(volume, CTVolume)
    expected = SimpleITK.GetArrayFromImage(itk).transpose(2, 1, 0)
    restored = volume.source.geometry.ras_order().undo(volume.values)
    np.testing.assert_array_equal(restored, expected.astype(np.float32))


def header(tmp_path: Path, **changes: str) -> Path:
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "DimSize": "2 2 2",
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    } | changes
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # always the last line
    path = tmp_path / "scan.mha"
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + bytes(range(16)))
    return path


def test_big_endian_and_missing_geometry(tmp_path: Path) -> None:
    volume = read_input(header(tmp_path, BinaryDataByteOrderMSB="True", ElementDataFile="LOCAL"))
    assert isinstance(volume, CTVolume)
    raw = volume.source.geometry.ras_order().undo(volume.values)
    assert raw[1, 0, 0] == 0x0203
    assert volume.geometry.spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"DimSize": "2 2 3"}, UnreadableFileError, "expected 24"),
        ({"DimSize": "2 x 2"}, UnreadableFileError, "damaged"),
        ({"DimSize": "2 2", "NDims": "2"}, InvalidImageError, "2x2"),
        ({"ElementType": "MET_STRING"}, UnsupportedFormatError, "MET_STRING"),
        ({"BinaryData": "False"}, UnsupportedFormatError, "as text"),
        ({"ElementNumberOfChannels": "3"}, NotCTError, "3 channels"),
        ({"ElementDataFile": "LIST"}, UnsupportedFormatError, "list of files"),
        ({"ElementDataFile": "../secret.raw"}, InvalidImageError, "another folder"),
        ({"ElementDataFile": "gone.raw"}, InputNotFoundError, "missing"),
        ({"CompressedData": "True"}, UnreadableFileError, "damaged"),
        ({"DimSize": "90000 90000 90000"}, InputTooLargeError, "at most"),
    ],
)
def test_bad_metaimage_files(tmp_path: Path, changes: dict[str, str], error: type[Exception], text: str) -> None:
    path = header(tmp_path, **changes)
    with pytest.raises(error, match=text):
        read_input(path, settings=Settings())


def test_nrrd_with_its_voxels_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nhdr"
    SimpleITK.WriteImage(image(), str(path))
    text = (
        path.read_text()
        .replace("data file: scan.raw.gz", "data file: /etc/passwd")
        .replace("data file: scan.raw", "data file: /etc/passwd")
    )
    path.write_text(text)
    with pytest.raises(InvalidImageError, match="another folder"):
        read_input(path)


def test_nrrd_without_a_space_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "scan.nrrd"
    body = np.arange(8, dtype="<i2").tobytes()
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspacings: 1 2 3\nencoding: raw\nendian: little\n\n"
    path.write_bytes(head.encode() + body)
    volume = read_input(path)
    assert isinstance(volume, CTVolume)
    assert volume.geometry.spacing == (1.0, 2.0, 3.0)
    assert [finding.code for finding in volume.findings] == ["no-orientation"]
