"""`groundglass evaluate` on labelled slices, with the shipped classifier."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundglass.cli.evaluate_classes import holds_classes
from groundglass.cli.main import main
from groundglass.evaluation.classes.answers import ShippedClassifier
from groundglass.models.catalog import CLASSIFIER, available
from tests.evaluation.conftest import write_slices
from tests.support.labelled import GreyClassifier, write_chests
from tests.support.thorax import thorax_file


@pytest.fixture(scope="module")
def chest_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slices with and without lesions in folders of classes."""
    return write_chests(tmp_path_factory.mktemp("classes") / "chests")


@pytest.fixture
def grey(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that looks at the brightness stands for the shipped one."""
    monkeypatch.setattr("groundglass.cli.evaluate_classes._classifier", lambda *_: (GreyClassifier(), None, []))


@pytest.mark.skipif(CLASSIFIER not in available(), reason="the package has no classifier")
def test_the_shipped_classifier_is_scored_without_torch(chest_pictures: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "--data", str(chest_pictures), "-o", str(tmp_path / "out"), "--json", "-q"]
    code = f"from groundglass.cli.main import main; code = main({arguments!r}); import sys; "
    code += "loaded = {'torch', 'sklearn'} & set(sys.modules); assert not loaded, loaded; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["title"] == "The shipped classifier on chests"
    assert [model["gave"][-1] for model in record["models"]][-1] == "class"
    assert record["data"] == {
        **{"name": "chests", "part": None, "slices": 4, "patients": 0},
        **{"labels": {"COVID": 2, "NonCOVID": 2}, "sources": {"chests": 4}},
    }
    assert record["resampled"].startswith("slices, for the data do not say whose")
    assert "It learned from: UCSD" in record["warnings"][0]
    with (tmp_path / "out" / "predictions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["label"] for row in rows] == ["COVID", "COVID", "NonCOVID", "NonCOVID"]


def test_the_name_of_the_shipped_classifier_is_understood(
    chest_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShippedClassifier, "answers", lambda _, images: GreyClassifier().answers(images))
    asked = ["evaluate", "--data", str(chest_pictures), "-o", str(tmp_path / "out"), "-q"]
    assert main([*asked, "--model", "classifier"]) == 0


@pytest.mark.usefixtures("grey")
def test_a_table_of_parts_and_pictures_beside_it(
    chest_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures in one folder with their table are no label maps; the table itself may be named, too."""
    folder, out = tmp_path / "flat", tmp_path / "out"
    folder.mkdir()
    lines = ["file,label,patient,split"]
    for number, path in enumerate(sorted(chest_pictures.rglob("*.png"))):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
        lines.append(f"{number}.png,{path.parent.name},p{number},{'val' if number % 2 else 'test'}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    for place in (folder, folder / "images.csv"):
        assert main(["evaluate", "--data", str(place), "-o", str(out), "-q", "--split", "validation", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)["data"]
        assert (data["part"], data["slices"], data["patients"]) == ("val", 2, 2)
    assert main(["evaluate", "--data", str(folder), "-o", str(out), "-q", "--split", "train"]) == 2
    assert "parts of the data: test, val" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.usefixtures("grey")
def test_slices_of_scans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thorax_file(tmp_path)
    (tmp_path / "volumes.csv").write_text("file,label,patient,every\nthorax.nii.gz,COVID,p1,10\n")
    (tmp_path / "slice_labels.csv").write_text("volume,slice_from_head,infected\nthorax,30,1\n")
    assert main(["evaluate", "--data", str(tmp_path), "-o", str(tmp_path / "out"), "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["labels"] == {"Normal": 6, "COVID": 1}


@pytest.mark.usefixtures("grey")
def test_a_broken_picture_is_named_and_ends_with_1(
    chest_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    for path in chest_pictures.rglob("*.png"):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).write_bytes(path.read_bytes())
    (folder / "COVID" / "broken.png").write_bytes(b"no picture")
    assert main(["evaluate", "--data", str(folder), "-o", str(tmp_path / "out"), "-q"]) == 1
    shown = capsys.readouterr()
    assert "Not scored: data, COVID/broken.png" in shown.err
    assert "COVID against the rest, 4 slices" in " ".join(shown.out.split())


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--threshold", "infection=0.4"], "only --model, --split, --include-learned and --seed"),
        (["--no-surfaces"], "only --model, --split, --include-learned and --seed"),
        (["--split", "first"], "expected train, val or test"),
        (["--split", "val"], "parts of the data: none"),
    ],
)
@pytest.mark.usefixtures("grey")
def test_wrong_usage(
    more: list[str], text: str, chest_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--data", str(chest_pictures), "-o", str(tmp_path / "out"), "-q", *more]) == 2
    assert text in " ".join(capsys.readouterr().err.split())


def test_scans_have_no_parts_and_nothing_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = write_slices(tmp_path)
    assert not holds_classes(scans)
    assert main(["evaluate", "--data", str(scans), "-o", str(tmp_path / "out"), "-q", "--split", "val"]) == 2
    assert "--split chooses a part of labelled slices" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["evaluate", "--data", str(tmp_path / "empty"), "-o", str(tmp_path / "out"), "-q"]) == 3
    assert "to score a classifier: folders named after classes" in " ".join(capsys.readouterr().err.split())
    table = tmp_path / "images.csv"
    table.write_text("file,label\nempty.png,flu\n")
    assert main(["evaluate", "--data", str(table), "-o", str(tmp_path / "out"), "-q"]) == 3
    assert "'flu'" in capsys.readouterr().err
