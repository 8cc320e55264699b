"""`groundglass compare` as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from groundglass.cli.main import main
from tests.support.finished import Made, finished


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def later(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same case without its consolidation, and with ground-glass in the left lung."""
    folder = tmp_path_factory.mktemp("later") / "later"
    shutil.copytree(made.folder, folder)
    image = nibabel.load(folder / "infection.nii.gz")
    lungs = np.asarray(nibabel.load(folder / "lungs.nii.gz").dataobj)
    labels = np.asarray(image.dataobj).copy()
    labels[labels == 2] = 0
    x, y, z = np.rint(np.argwhere(lungs == 2).mean(axis=0)).astype(int)
    labels[x - 3 : x + 4, y - 3 : y + 4, z - 2 : z + 3] = 1
    labels[lungs == 0] = 0
    nibabel.save(nibabel.Nifti1Image(labels, image.affine, image.header), folder / "infection.nii.gz")
    text = (folder / "analysis.json").read_text().replace('"case": "scan"', '"case": "later"')
    (folder / "analysis.json").write_text(text)
    return folder


def test_two_finished_analyses(made: Made, later: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(made.folder), str(later), "-o", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["baseline"], found["followups"][0]["case"]) == ("scan", "later")
    amounts = found["followups"][0]["change_map"]
    dense = made.result.measurements.infection_volume_ml.consolidation
    assert amounts["resolved_ml"] == pytest.approx(dense, rel=0.05)
    assert amounts["new_ml"] == pytest.approx(7 * 7 * 5 * made.result.lungs.geometry.voxel_ml, rel=0.05)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"comparison.json", "timeline.html", "change-1.nii.gz", "change-1.png"}
    change = nibabel.load(tmp_path / "change-1.nii.gz")
    assert np.allclose(change.affine, made.result.lungs.source.geometry.affine, atol=1e-3)
    assert set(np.unique(np.asarray(change.dataobj))) == {0, 1, 2, 3}
    page = (tmp_path / "timeline.html").read_text()
    assert "Research use only" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_three_scans_make_two_maps_and_a_table(
    made: Made, later: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = tmp_path / "third"
    shutil.copytree(later, third)
    text = (third / "analysis.json").read_text().replace('"case": "later"', '"case": "third"')
    (third / "analysis.json").write_text(text)
    out = tmp_path / "out"
    assert main(["compare", str(made.folder), str(later), str(third), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "later against scan" in said
    assert "resolved" in said
    assert (out / "change-2.png").is_file()


def test_the_same_name_twice_is_refused(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(made.folder), str(made.folder), "-o", str(tmp_path)]) == 2
    assert "same name" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "nothing"), str(made.folder), "-o", str(tmp_path)]) == 3
