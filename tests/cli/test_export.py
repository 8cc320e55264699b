"""`groundglass export` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

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
