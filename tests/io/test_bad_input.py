"""Every bad input ends in its own typed error with a message that helps; nothing foreign leaks."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from groundglass.errors import (
    GroundglassError,
    InputError,
    InputTooLargeError,
    OptionError,
    UnreadableFileError,
    UnsafeArchiveError,
)
from groundglass.io.read import list_series, read_input
from groundglass.settings import Settings
from tests.support.bad_inputs import AFFINE, BAD_INPUTS, BadInput, scan
from tests.support.dicom import PATIENT, PATIENT_ID, SeriesSpec, write_series


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_refused(tmp_path: Path, bad: BadInput) -> None:
    path = bad.build(tmp_path)
    with pytest.raises(GroundglassError) as caught:
        read_input(path)
    message = str(caught.value)
    assert type(caught.value) is bad.error, message
    assert re.search(bad.message, message, re.DOTALL), message
    assert caught.value.exit_code == 3
    assert str(tmp_path) not in message.replace(str(path), "")
    for secret in (*PATIENT.split("^"), PATIENT_ID):
        assert secret not in message


def test_the_table_is_large_and_its_names_unique() -> None:
    assert len(BAD_INPUTS) >= 30
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "png", "mha", "nrrd", "dcm", "zip"])
def test_damage_anywhere_raises_nothing_foreign(tmp_path: Path, kind: str) -> None:
    """Flip and cut bytes all over a good file: it is either read or refused, never anything else."""
    good = _good_file(tmp_path, kind).read_bytes()
    random = np.random.default_rng(7)
    victim = tmp_path / f"victim.{kind}"
    for _ in range(60):
        data = bytearray(good[: random.integers(1, len(good) + 1)] if random.random() < 0.3 else good)
        for at in random.integers(0, min(len(data), 600), size=random.integers(0, 6)):
            data[at] = random.integers(0, 256)
        victim.write_bytes(data)
        with contextlib.suppress(InputError):
            read_input(victim, settings=Settings(max_voxels=1_000_000))


def _good_file(folder: Path, kind: str) -> Path:
    import zipfile

    import SimpleITK
    from PIL import Image

    path = folder / f"good.{kind}"
    if kind.startswith("nii"):
        nibabel.save(nibabel.Nifti1Image(scan(), AFFINE), path)
    elif kind == "png":
        Image.effect_noise((64, 64), 40).save(path)
    elif kind in {"mha", "nrrd"}:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(scan()), str(path))
    else:
        write_series(folder / "series", scan(1), AFFINE)
        single = next((folder / "series").iterdir())
        if kind == "dcm":
            return single
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(single, "slice.dcm")
    return path


def test_unreadable_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel.save(nibabel.Nifti1Image(scan(), AFFINE), tmp_path / "scan.nii")

    def refuse(path: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(UnreadableFileError, match=r"scan\.nii: no permission"):
            read_input(tmp_path / "scan.nii")
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        with pytest.raises(UnreadableFileError, match="the folder cannot be opened"):
            read_input(tmp_path)


def test_not_enough_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel.save(nibabel.Nifti1Image(scan(), AFFINE), tmp_path / "scan.nii")

    def exhausted(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("groundglass.io.nifti.np.frombuffer", exhausted)
    with pytest.raises(InputTooLargeError, match="not enough memory"):
        read_input(tmp_path / "scan.nii")


def test_limits_of_the_settings(tmp_path: Path) -> None:
    import zipfile

    write_series(tmp_path / "series", scan(), AFFINE)
    packed = tmp_path / "scan.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (tmp_path / "series").iterdir():
            archive.write(path, path.name)
    with pytest.raises(InputTooLargeError, match="more than 5 files"):
        read_input(tmp_path / "series", settings=Settings(max_files=5))
    with pytest.raises(InputTooLargeError, match="12 files in the archive"):
        read_input(packed, settings=Settings(max_files=5))
    with pytest.raises(UnsafeArchiveError, match="at most"):
        read_input(packed, settings=Settings(max_archive_bytes=5000))
    with pytest.raises(InputTooLargeError, match="8x9x12 = 864 voxels"):
        read_input(tmp_path / "series", settings=Settings(max_voxels=500))


def test_a_series_is_only_for_dicom(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(scan(), AFFINE), tmp_path / "scan.nii")
    with pytest.raises(OptionError, match="not DICOM"):
        read_input(tmp_path / "scan.nii", series="3")


def test_listing_series_of_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UnreadableFileError, match="expected DICOM"):
        list_series(tmp_path)


def test_header_values_do_not_reach_messages(tmp_path: Path) -> None:
    tags = {"PixelSpacing": None, "SeriesDescription": f"{PATIENT} 19640229"}
    write_series(tmp_path / "in", scan(), AFFINE, SeriesSpec(tags=tags))
    with pytest.raises(GroundglassError) as caught:
        read_input(tmp_path / "in")
    assert "Erika" not in str(caught.value)
