"""The classifier of a run, scored: the answers of training, and what it has learned from."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np

from groundglass.cli.main import main
from groundglass.evaluation.classes.answers import collect_answers
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.run import train
from groundglass.training.classification.scored import ScoredRun
from groundglass.training.classification.trained import RunClassifier


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of three classes."""
    folder = tmp_path_factory.mktemp("run") / "made"
    switches = {"size": 32, "batch": 8, "epochs": 2}
    train(load_classifier("threeclass-simple").model_copy(update=switches), dataset, folder)
    return folder


def predictions(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_it_answers_as_it_did_in_training(run: Path, dataset: Path) -> None:
    slices, scored = read_data(dataset), ScoredRun(RunClassifier(run))
    found, failed = collect_answers(slices, scored)
    assert failed == []
    said = {one.slice.name: one.answer for one in found}
    rows = predictions(run / "predictions.csv")
    for row in rows:
        before = [float(row[name]) for name in scored.classes]
        np.testing.assert_allclose(said[row["slice"]].probabilities, before, atol=0.01)
    assert all(answer.label == scored.classes[int(answer.probabilities.argmax())] for answer in said.values())
    (model,) = scored.models
    assert (model.name, len(model.sha256)) == ("threeclass-simple", 64)


def test_it_knows_its_own_data_again(run: Path, dataset: Path) -> None:
    slices, scored = read_data(dataset), ScoredRun(RunClassifier(run))
    own = scored.own_parts(slices)
    assert own is not None
    rows = predictions(run / "predictions.csv")
    assert {one.name for one in own.test} == {row["slice"] for row in rows if row["part"] == "test"}
    assert len(own.train) + len(own.val) + len(own.test) == len(slices)
    assert scored.own_parts(slices[1:]) is None


def test_what_it_learned_from_is_left_out(
    run: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ScoredRun(RunClassifier(run)).own_parts(read_data(dataset))
    assert own is not None
    asked = ["evaluate", "--data", str(dataset), "--model", str(run), "-o", str(tmp_path / "out"), "--json", "-q"]
    counts, warnings = {}, {}
    for name, more in {
        "unseen": [],
        "test": ["--split", "test"],
        "train": ["--split", "training"],
        "all": ["--include-learned"],
    }.items():
        assert main([*asked, *more]) == 0
        record = json.loads(capsys.readouterr().out)
        counts[name], warnings[name] = record["data"]["slices"], " ".join(record["warnings"])
    unseen, learned = len(own.val) + len(own.test), len(own.train)
    assert counts == {"unseen": unseen, "test": len(own.test), "train": learned, "all": unseen + learned}
    assert f"{learned} slices of the training part are left out" in warnings["unseen"]
    assert "The validation part chose the weights of the run; --split test" in warnings["unseen"]
    assert warnings["test"] == ""
    assert f"LEAK: {learned} of these slices were learned from" in warnings["train"]
    assert f"LEAK: {learned} of these slices were learned from" in warnings["all"]
    assert record["classes_apart"] is not None
    assert record["confusion"]["labels"] == ["COVID", "OtherPneumonia", "Normal"]


def test_other_data_and_what_is_no_run(
    run: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    for kind in ("COVID", "Normal"):
        (other / kind).mkdir(parents=True)
        (other / kind / "0.png").write_bytes((dataset / kind / "0_0.png").read_bytes())
    asked = ["evaluate", "--data", str(other), "-o", str(tmp_path / "out"), "-q"]
    assert main([*asked, "--model", str(run)]) == 0
    shown = capsys.readouterr()
    assert "not exactly the data that the run was trained with" in shown.err
    assert "2 slices" in " ".join(shown.out.split())
    assert main([*asked, "--model", str(other)]) == 2
    assert "has no preset.json: it is no run of a classifier" in capsys.readouterr().err.replace("\n", " ")
