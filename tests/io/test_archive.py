"""ZIP archives that are read, and that nothing of them stays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from groundglass.errors import UnsafeArchiveError
from groundglass.io.archive import unpacked
from groundglass.io.read import read_input
from groundglass.settings import Settings
from groundglass.volume import CTVolume, PictureSet
from tests.support.volumes import marked_scan

SCAN, GRID = marked_scan()


def pack(path: Path, *files: tuple[Path, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in files:
            archive.write(file, name)
    return path


def test_one_volume(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(SCAN, GRID.affine), tmp_path / "scan.nii.gz")
    (tmp_path / "note.txt").write_text("hello")
    packed = pack(
        tmp_path / "Patient 3.zip",
        (tmp_path / "scan.nii.gz", "scan.nii.gz"),
        (tmp_path / "note.txt", "note.txt"),
        (tmp_path / "scan.nii.gz", "__MACOSX/._scan.nii.gz"),
    )
    volume = read_input(packed)
    assert isinstance(volume, CTVolume)
    assert np.array_equal(volume.values, SCAN.astype(np.float32))
    assert volume.source.case == "Patient_3"


def test_pictures(tmp_path: Path) -> None:
    for name in ("a2.png", "a10.png"):
        Image.effect_noise((64, 64), 40).save(tmp_path / name)
    packed = pack(tmp_path / "set.zip", *[(tmp_path / name, f"set/{name}") for name in ("a10.png", "a2.png")])
    pictures = read_input(packed)
    assert isinstance(pictures, PictureSet)
    assert [picture.name for picture in pictures.slices] == ["a2.png", "a10.png"]


def test_the_folder_is_removed_whatever_happens(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    packed = pack(tmp_path / "a.zip", (tmp_path / "a.txt", "deep/a.txt"))
    with unpacked(packed, Settings()) as folder:
        assert (folder / "deep" / "a.txt").read_text() == "hello"
    assert not folder.exists()
    with pytest.raises(KeyError), unpacked(packed, Settings()) as folder:
        raise KeyError
    assert not folder.exists()


def test_two_members_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.warns(UserWarning, match="Duplicate"):
        packed = pack(tmp_path / "a.zip", (tmp_path / "a.txt", "a"), (tmp_path / "a.txt", "a"))
    with pytest.raises(UnsafeArchiveError, match="two files of one name"), unpacked(packed, Settings()):
        pass


@pytest.mark.parametrize("name", ["C:/windows/a.dcm", "..\\a.dcm", "a/../../b.dcm"])
def test_paths_that_leave_the_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("hello")
    packed = pack(tmp_path / "a.zip", (tmp_path / "a.txt", name))
    with pytest.raises(UnsafeArchiveError, match="outside its folder"), unpacked(packed, Settings()):
        pass


def test_the_limit_counts_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(3_000_000))
    packed = pack(tmp_path / "a.zip", (tmp_path / "a.bin", "a.bin"))
    with unpacked(packed, Settings(max_archive_bytes=3_000_000)) as folder:
        assert (folder / "a.bin").stat().st_size == 3_000_000
    with (
        pytest.raises(UnsafeArchiveError, match="GROUNDGLASS_MAX_ARCHIVE_BYTES"),
        unpacked(packed, Settings(max_archive_bytes=2_999_999)),
    ):
        pass
