"""NIfTI: scaling, voxel types, frames, sform and qform, units, holes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.errors import InputTooLargeError, InvalidImageError
from groundglass.io.read import read_input
from groundglass.settings import Settings
from groundglass.volume import CTVolume
from tests.support.volumes import marked_scan

SCAN, GRID = marked_scan()


def write(path: Path, array: NDArray[Any] = SCAN, affine: NDArray[np.float64] = GRID.affine, **header: Any) -> Path:
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    for name, value in header.items():
        getattr(image, name)(*value) if hasattr(image, name) else getattr(image.header, name)(*value)
    nibabel.save(image, path)
    return path


def read(path: Path, **options: Any) -> CTVolume:
    volume = read_input(path, **options)
    assert isinstance(volume, CTVolume)
    return volume


def codes(volume: CTVolume) -> list[str]:
    return [finding.code for finding in volume.findings]


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_voxel_types(tmp_path: Path, kind: type[np.generic], name: str) -> None:
    array = SCAN.astype(kind)
    image = nibabel.Nifti1Image(array, GRID.affine, dtype=kind)
    nibabel.save(image, tmp_path / name)
    volume = read(tmp_path / name)
    assert np.array_equal(volume.values, SCAN.astype(np.float32))
    assert volume.source.case == "scan"
    assert volume.source.details["voxel_type"] == np.dtype(kind).name


def test_unsigned_with_scale_and_offset(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape(SCAN.shape)
    header.set_data_dtype(np.uint16)
    header.set_sform(GRID.affine, code=1)
    header.set_slope_inter(0.5, -1024.0)
    stored = ((SCAN + 1024) * 2).astype(np.uint16)
    with (tmp_path / "scan.nii").open("wb") as file:
        header.write_to(file)
        file.write(stored.tobytes(order="F"))
    assert np.array_equal(read(tmp_path / "scan.nii").values, SCAN.astype(np.float32))


def test_big_endian_and_nifti_2(tmp_path: Path) -> None:
    swapped = nibabel.Nifti1Image(SCAN.astype(">i2"), GRID.affine, nibabel.Nifti1Header(endianness=">"))
    nibabel.save(swapped, tmp_path / "swapped.nii")
    nibabel.save(nibabel.Nifti2Image(SCAN, GRID.affine), tmp_path / "second.nii.gz")
    for name in ("swapped.nii", "second.nii.gz"):
        volume = read(tmp_path / name)
        assert np.array_equal(volume.values, SCAN.astype(np.float32))
        assert volume.geometry.matches(GRID)


def test_header_and_voxels_in_two_files(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(SCAN, GRID.affine), tmp_path / "scan.hdr")
    for given in (tmp_path / "scan.hdr", tmp_path / "scan.img", tmp_path):
        assert np.array_equal(read(given).values, SCAN.astype(np.float32))


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    write(tmp_path / "scan.nii.gz")
    packed = (tmp_path / "scan.nii.gz").read_bytes()
    (tmp_path / "no_suffix").write_bytes(packed)
    (tmp_path / "plain.nii.gz").write_bytes(gzip.decompress(packed))
    for name in ("no_suffix", "plain.nii.gz"):
        assert np.array_equal(read(tmp_path / name).values, SCAN.astype(np.float32))


def test_one_frame_is_squeezed(tmp_path: Path) -> None:
    volume = read(write(tmp_path / "scan.nii", SCAN[..., None]))
    assert volume.source.geometry.shape == SCAN.shape
    assert np.array_equal(volume.values, SCAN.astype(np.float32))


def test_sform_wins_and_a_mismatch_is_told(tmp_path: Path) -> None:
    other = GRID.affine.copy()
    other[0, 3] += 25.0
    volume = read(write(tmp_path / "scan.nii", set_qform=(other, 1)))
    assert codes(volume) == ["sform-qform-mismatch"]
    assert volume.geometry.matches(GRID)
    assert "sform was used" in volume.findings[0].text


def test_qform_alone_and_agreement_are_silent(tmp_path: Path) -> None:
    alone = read(write(tmp_path / "alone.nii", set_sform=(None, 0)))
    both = read(write(tmp_path / "both.nii"))
    for volume in (alone, both):
        assert volume.geometry.matches(GRID, tolerance_mm=1e-2)
        assert codes(volume) == []


def test_a_singular_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii")
    data = bytearray(path.read_bytes())
    data[280:328] = b"\0" * 48
    path.write_bytes(data)
    volume = read(path)
    assert volume.geometry.matches(GRID, tolerance_mm=1e-2)
    assert codes(volume) == ["sform-qform-mismatch"]
    assert "qform was used" in volume.findings[0].text


def test_without_orientation_the_spacing_remains(tmp_path: Path) -> None:
    volume = read(write(tmp_path / "scan.nii", set_sform=(None, 0), set_qform=(None, 0)))
    assert volume.source.geometry.spacing == pytest.approx(GRID.spacing, abs=1e-6)
    assert codes(volume) == ["no-orientation"]


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_other_units_become_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    affine = GRID.affine.copy()
    affine[:3] *= factor
    volume = read(write(tmp_path / "scan.nii", affine=affine, set_xyzt_units=(unit,)))
    assert volume.geometry.spacing == pytest.approx(GRID.spacing, rel=1e-5)
    assert codes(volume) == ["units-converted"]


def test_few_holes_become_air(tmp_path: Path) -> None:
    array = SCAN.astype(np.float32)
    array[0, 0, :3] = (np.nan, np.inf, -np.inf)
    volume = read(write(tmp_path / "scan.nii", array))
    assert volume.values[0, 0, :3].tolist() == [-1024.0] * 3
    assert codes(volume) == ["non-finite-voxels"]
    assert volume.findings[0].text.startswith("3 voxels")


def test_the_size_is_checked_before_the_voxels_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii")
    with pytest.raises(InputTooLargeError, match="13x11x9 = 1,287 voxels"):
        read(path, settings=Settings(max_voxels=1000))
    data = bytearray(path.read_bytes()[:352])
    data[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
    path.write_bytes(data)
    with pytest.raises(InputTooLargeError, match="32767x32767x32767"):
        read(path)


def test_negative_sizes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii")
    data = bytearray(path.read_bytes())
    data[42:44] = np.array([-5], "<i2").tobytes()
    path.write_bytes(data)
    with pytest.raises(InvalidImageError, match="at least one voxel"):
        read(path)
