"""Nothing of the patient leaves the DICOM files: planted names, numbers and dates are looked for in every byte."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import zipfile
from pathlib import Path

import pytest

from groundglass.cli.export import write_table
from groundglass.export.case import load_case
from groundglass.export.targets import DICOM_TARGETS, TARGETS, export_case
from tests.support.finished import FRAME, SECRETS, SERIES, STUDY, Made


def secrets() -> list[bytes]:
    words = {part for value in SECRETS.values() for part in re.split(r"[\^ ]", value) if len(part) > 3}
    return [word.encode() for word in (*words, STUDY, FRAME, SERIES.uid)]


def contents(path: Path) -> list[bytes]:
    """The bytes of a file, and unpacked where it is packed."""
    data = path.read_bytes()
    found = [data]
    start = 0
    while (start := data.find(b"\x1f\x8b\x08", start)) >= 0:
        with contextlib.suppress(OSError, EOFError):
            found.append(gzip.GzipFile(fileobj=io.BytesIO(data[start:])).read())
        start += 3
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    return found


def test_the_search_finds_what_is_planted(made: Made, dicom_files: Path) -> None:
    data = b"".join(contents(dicom_files / "segmentation.dcm"))
    assert b"Zweistein" in data
    assert b"SECRET-0815" in data


@pytest.mark.parametrize("place", ["analysis", "exports"])
def test_no_file_outside_dicom_names_the_patient(place: str, made: Made, tmp_path: Path) -> None:
    folder = made.folder
    if place == "exports":
        folder = tmp_path / "exports"
        targets = [target for target in TARGETS if target not in DICOM_TARGETS]
        export_case(load_case(made.folder), targets, folder, table=write_table)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        for data in contents(path):
            for word in secrets():
                assert word not in data, f"{path.name} holds {word!r}"
                assert word.decode() not in path.name


def test_the_list_of_dicom_files_names_nobody(dicom_files: Path) -> None:
    data = (dicom_files / "export.json").read_bytes()
    assert b"segmentation.dcm" in data
    assert not [word for word in secrets() if word in data]
