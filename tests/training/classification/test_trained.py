"""A classifier of one's own after training: the same answers, heat maps in their place, and what is no such run."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import numpy as np

from groundglass.cli.main import main
from groundglass.errors import MissingExtraError, OptionError, UnknownModelError, UnusableModelError
from groundglass.explain import explain
from groundglass.image.stages import classical_lungs
from groundglass.inference.classify import SliceInput
from groundglass.inference.classify_scan import ShownSlice
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.run import train
from groundglass.training.classification.trained import RunClassifier
from tests.training.classification.conftest import slice_picture


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that sees the lungs alone, cropped, found by a classical method."""
    switches = {"size": 32, "batch": 8, "epochs": 3, "stage": "lungs-masked", "lungs": "classical"}
    folder = tmp_path_factory.mktemp("run") / "made"
    train(load_classifier("threeclass-simple").model_copy(update=switches), dataset, folder)
    return folder


def shown(kind: str = "COVID", number: int = 1) -> ShownSlice:
    """A slice in the left half of a wider picture, so that rows, columns and box differ."""
    grey = np.full((96, 160), 20, np.uint8)
    grey[:, :96] = slice_picture(np.random.default_rng(number), kind, 96)
    return ShownSlice(number, f"slice {number}", SliceInput(grey, classical_lungs(grey), np.zeros_like(grey)))


def test_it_answers_as_it_did_in_training(run: Path, dataset: Path) -> None:
    judge = RunClassifier(run)
    images = {one.name: one.image for one in read_data(dataset)}
    with (run / "predictions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) > 5
    said = judge.probabilities(judge.look([images[row["slice"]] for row in rows]))
    before = [[float(row[name]) for name in judge.classes] for row in rows]
    np.testing.assert_allclose(said, before, atol=0.01)  # training may compute in bf16


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_heat_lies_in_the_part_that_was_seen(run: Path, method: str) -> None:
    judge, one = RunClassifier(run), shown()
    (seen,) = judge.look([one.input.image])
    assert seen.box.right <= 96
    assert seen.pixels.shape == (32, 32)
    heats = [judge.heat(seen, label, 96, 160, method=method) for label in judge.classes]  # type: ignore[arg-type]
    assert any(heat.any() for heat in heats)
    for heat in heats:
        assert heat.shape == (96, 160)
        assert 0.0 <= heat.min() <= heat.max() <= 1.0
        outside = np.ones_like(heat, bool)
        seen.box.of(outside)[:] = False
        assert not heat[outside].any()


def test_the_slices_least_likely_normal_decide(run: Path) -> None:
    judge = RunClassifier(run)
    slices = [shown(kind, number) for number, kind in enumerate(("Normal", "COVID", "Normal", "OtherPneumonia"), 1)]
    each = judge.probabilities(judge.look([one.input.image for one in slices]))
    said, attention = judge.judge(slices, label="COVID")
    order = np.argsort(each[:, 2])[:2]
    assert [one.slice for one in said.slices] == [slices[i].number for i in order]
    np.testing.assert_allclose(list(said.probabilities.values()), each[order].mean(axis=0), atol=1e-3)
    assert said.label == judge.classes[int(each[order].mean(axis=0).argmax())]
    assert {one.label for one in attention} == {"COVID"}
    assert not said.calibrated
    with pytest.raises(OptionError, match="no class 'flu'; expected one of COVID, OtherPneumonia, Normal"):
        judge.judge(slices, label="flu")


def test_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "slice.png"
    cv2.imwrite(str(picture), np.asarray(shown().input.image))
    asked = ["explain", str(picture), "-o", str(tmp_path / "out"), "--model", str(run), "--method", "grad-cam++"]
    assert main([*asked, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["classification"]["model"] == "threeclass-simple"
    assert record["classification"]["method"] == "grad-cam++"
    assert sum(record["classification"]["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
    assert cv2.imread(str(tmp_path / "out" / "slice" / "evidence-1.png")) is not None
    assert main(asked) == 0
    assert "Classification: " in capsys.readouterr().out
    assert main(["explain", str(picture), "--model", str(tmp_path / "none")]) == 2
    assert main(["explain", str(picture), "--method", "grad-cam++"]) == 2
    assert "the shipped classifier has Grad-CAM, exactly" in capsys.readouterr().err


def test_what_is_no_finished_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no folder is at that path; expected the folder of a finished"):
        RunClassifier(tmp_path / "none")
    with pytest.raises(UnknownModelError, match=r"has no preset\.json: it is no run of a classifier"):
        RunClassifier(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    with pytest.raises(UnknownModelError, match=r"has no result\.json: the run is not finished; give the same"):
        RunClassifier(copy)
    (copy / "result.json").write_text("{}")
    for bytes_left in (0, 40, 20_000):
        (copy / "best.pt").write_bytes((run / "best.pt").read_bytes()[:bytes_left])
        with pytest.raises(UnusableModelError, match=r"best\.pt does not hold the weights of threeclass-simple"):
            RunClassifier(copy)
    (copy / "preset.json").write_text('{"preset": {"name": 3}}')
    with pytest.raises(UnusableModelError, match=r"preset\.json cannot be understood"):
        RunClassifier(copy)


def test_without_torch_it_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "groundglass.training.classification.trained", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'groundglass\[train\]'"):
        explain("slice.png", model=run)
