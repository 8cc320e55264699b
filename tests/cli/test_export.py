"""`groundglass export` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest

from groundglass.cli.main import main
from tests.support.finished import Made, finished


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return finished(tmp_path_factory.mktemp("finished"))


def test_a_segmentation_goes_out_and_comes_back(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dicom"
    arguments = ["export", str(made.folder), "--to", "dicom-seg", "--source", str(made.series), "-o", str(out)]
    assert main([*arguments, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {"files": [{"target": "dicom-seg", "path": str(out / "segmentation.dcm")}]}
    back = tmp_path / "back"
    assert main(["export", str(out / "segmentation.dcm"), "--from", "seg", "--to", "nifti", "-o", str(back)]) == 0
    for name in ("lungs.nii.gz", "infection.nii.gz"):
        first, second = (nibabel.load(folder / name) for folder in (made.folder, back))
        first = nibabel.as_closest_canonical(first)
        second = nibabel.as_closest_canonical(second)
        assert np.array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))
        assert np.allclose(first.affine, second.affine, atol=1e-2)


def test_files_go_into_the_case_by_default(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(made.folder), "--to", "seg-nrrd"]) == 0
    assert "labels.seg.nrrd" in capsys.readouterr().out.replace("\n", "")
    assert (made.folder / "export" / "labels.seg.nrrd").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "docx"], 2, "unknown: docx"),
        (["--to", "dicom-seg"], 2, "--source"),
        (["--to", "nifti", "--from", "xml"], 2, "expected analysis or seg"),
        (["--to", "dicom-seg", "--source", "nowhere"], 3, "no such file"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str], code: int, message: str, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(made.folder), *arguments]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [("scan.nii.gz", "dicom-sr", "scan.nii.gz is no DICOM"), ("slice.png", "pdf", "slice.png is a picture")],
)
def test_what_could_not_be_exported_is_refused_before_the_analysis(
    name: str, target: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64), np.uint8))
    else:
        nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)), tmp_path / name)
    out = tmp_path / "out"
    assert main(["analyze", str(tmp_path / name), "-o", str(out), "--export", target, "-q"]) == 3
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


def test_a_source_without_a_series(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    arguments = ["export", str(made.folder), "--to", "dicom-seg", "--source", str(tmp_path / "notes.txt")]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 3
    assert "no usable CT series" in capsys.readouterr().err.replace("\n", " ")


def test_a_lobe_mask_that_is_not_there_is_said_before_the_analysis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)), tmp_path / "scan.nii.gz")
    arguments = ["analyze", str(tmp_path / "scan.nii.gz"), "--lobes", str(tmp_path / "none.nii.gz")]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 3
    captured = capsys.readouterr()
    assert "none.nii.gz is missing" in captured.err.replace("\n", " ")
    assert "network" not in captured.err
