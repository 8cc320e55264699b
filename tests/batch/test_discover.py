"""Which scans are found, and what they are called."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest

from groundglass.batch.cases import Case, unique_names
from groundglass.batch.discover import discover
from groundglass.errors import InputNotFoundError, UnreadableFileError
from groundglass.io.read import ScanFiles, read_scan_files
from groundglass.volume import CTVolume, PictureSet
from tests.support.dicom import PATIENT, SeriesSpec, write_series

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def nifti(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 8), -800, np.int16), AFFINE), path)
    return path


def series(folder: Path, slices: int = 12, **spec: object) -> None:
    write_series(folder, np.full((16, 16, slices), -800.0), AFFINE, SeriesSpec(**spec))  # type: ignore[arg-type]


def names(*inputs: Path | str) -> list[str]:
    cases = list(discover([str(text) for text in inputs]).cases.values())
    return sorted(unique_names(cases, ()))


def test_a_tree_of_everything(tmp_path: Path) -> None:
    nifti(tmp_path / "one" / "ct.nii.gz")
    nifti(tmp_path / "two" / "ct.nii.gz")
    nifti(tmp_path / "three" / "other.nii")
    (tmp_path / "three" / "cut.nii.gz").write_bytes(b"\x1f\x8bxx")
    (tmp_path / "three" / "notes.txt").write_text("hello")
    cv2.imwrite(str(tmp_path / "three" / "preview.png"), np.zeros((9, 9), np.uint8))
    (tmp_path / "slices").mkdir()
    cv2.imwrite(str(tmp_path / "slices" / "a.png"), np.zeros((40, 40), np.uint8))
    nifti(tmp_path / "results" / "done" / "lungs.nii.gz")
    (tmp_path / "results" / "done" / "analysis.json").write_text("{}")
    assert names(tmp_path) == ["cut", "one-ct", "other", "slices", "two-ct"]
    assert discover([str(tmp_path)]).left_out == ["three: 1 picture beside scans"]


def test_each_series_of_a_dicom_tree_is_a_case(tmp_path: Path) -> None:
    study = tmp_path / "study"
    series(study, number=2, prefix="thin")
    series(study, number=4, prefix="thick")
    series(study, slices=2, number=1, prefix="scout", tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    series(tmp_path / "later", number=2)
    (tmp_path / "later" / "damaged.dcm").write_bytes(b"nothing")
    found = discover([str(tmp_path)])
    cases = list(found.cases.values())
    given = unique_names(cases, ())
    assert sorted(given) == ["later", "study-series2", "study-series4"]
    assert found.left_out == ["study: series 1, localizer, 2 slices"]
    assert not any(PATIENT.split("^")[0] in name for name in given)
    for case, name in zip(cases, given, strict=True):
        volume = read_scan_files(ScanFiles(Path(case.path), name, case.members))
        assert isinstance(volume, CTVolume)
        assert volume.geometry.shape == (16, 16, 12)
        assert volume.source.case == name
        damaged = any(finding.code == "unreadable-files" for finding in volume.findings)
        assert damaged == (name == "later")


def test_a_series_in_several_folders_is_one_case(tmp_path: Path) -> None:
    for part, skip in (("a", range(6)), ("b", range(6, 12))):
        series(tmp_path / "disk" / part, uid="1.2.3.4", skip=skip)
    (tmp_path / "disk" / "DICOMDIR").write_bytes(b"index")
    found = discover([str(tmp_path / "disk" / "DICOMDIR")])
    (case,) = found.cases.values()
    assert len(case.members) == 12
    assert unique_names([case], ()) == ["disk"]


def test_a_list_names_its_cases_and_loses_none(tmp_path: Path) -> None:
    nifti(tmp_path / "scans" / "a.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("id;path;case\n1;scans/a.nii.gz;first\n2;scans/missing.nii.gz;\n")
    cases = list(discover([str(table)]).cases.values())
    assert [(Path(case.path).name, case.suggestion) for case in cases] == [
        ("a.nii.gz", "first"),
        ("missing.nii.gz", "missing"),
    ]
    assert all(Path(case.path).is_absolute() for case in cases)


@pytest.mark.parametrize(
    ("text", "match"), [("name\na\n", "no column `path`"), ("path,case\n\n,x\n", "line 3 has no path")]
)
def test_a_bad_list_says_what_is_wrong(tmp_path: Path, text: str, match: str) -> None:
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(UnreadableFileError, match=match):
        discover([str(table)])


def test_patterns_and_what_is_not_there(tmp_path: Path) -> None:
    nifti(tmp_path / "x" / "a.nii.gz")
    nifti(tmp_path / "y" / "b.nii.gz")
    assert names(f"{tmp_path}/**/*.nii.gz") == ["a", "b"]
    assert names(tmp_path / "x", tmp_path / "x" / "a.nii.gz") == ["a"], "named twice, found once"
    for missing in (f"{tmp_path}/*.mha", f"{tmp_path}/nothing"):
        with pytest.raises(InputNotFoundError):
            discover([missing])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputNotFoundError, match="no scan found"):
        discover([str(tmp_path / "empty")])


def test_names_are_unique_and_do_not_depend_on_the_order() -> None:
    paths = ["/d/a/ct.nii", "/d/b/ct.nii", "/d/b/CT.nii.gz", "/e/b/ct.nii", "/d/c/scan.nii", "/d/c-scan.mha"]
    cases = [Case(path) for path in paths] + [Case("/d/c", part="x", suggestion="c-scan")]
    expected = dict(zip(cases, unique_names(cases, ()), strict=True))
    assert len({name.casefold() for name in expected.values()}) == len(cases)
    assert expected[cases[0]] == "a-ct"
    assert expected[cases[4]] == "scan"
    for seed in range(5):
        shuffled = random.Random(seed).sample(cases, len(cases))
        assert dict(zip(shuffled, unique_names(shuffled, ()), strict=True)) == expected
    assert unique_names([cases[4]], ["Scan"]) == ["c-scan"]
    assert all(name.startswith("case-") for name in unique_names(cases, (), anonymous=True))


def test_pictures_are_read_as_one_case(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((40, 40), 99, np.uint8))
    (case,) = discover([str(tmp_path)]).cases.values()
    pictures = read_scan_files(ScanFiles(Path(case.path), "mine", case.members))
    assert isinstance(pictures, PictureSet)
    assert (pictures.case, len(pictures.slices)) == ("mine", 2)
