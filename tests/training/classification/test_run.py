"""What a run leaves, and how it goes on when some of that is damaged."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from matplotlib.figure import Figure

from groundglass.errors import OptionError
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.run import TrainedClassifier, draw_curves, loss_names, train
from tests.training.classification.conftest import slice_picture


def run(data: Path, folder: Path) -> TrainedClassifier:
    torch.set_num_threads(1)
    preset = load_classifier("threeclass-simple").model_copy(update={"size": 32, "epochs": 1})
    return train(preset, data, folder)


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(dataset, tmp_path_factory.mktemp("runs") / "run").folder


@pytest.mark.parametrize("damage", ["{", "[]", None])
def test_a_damaged_result_is_made_again_from_the_weights(
    damage: str | None, finished: Path, dataset: Path, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "run", json.loads((finished / "result.json").read_text())
    shutil.copytree(finished, folder)
    stamp = (folder / "best.pt").stat().st_mtime_ns
    if damage is None:
        (folder / "predictions.csv").unlink()
    else:
        (folder / "result.json").write_text(damage)
    assert run(dataset, folder).result == whole
    assert (folder / "predictions.csv").read_text() == (finished / "predictions.csv").read_text()
    assert (folder / "best.pt").stat().st_mtime_ns == stamp


def test_near_twins_are_counted_by_slices_and_listed(dataset: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = ["file,label,patient,split"]
    for number, (label, split) in enumerate([*[("COVID", "train"), ("Normal", "train")] * 3, ("Normal", "val")]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), slice_picture(rng, label))
        rows.append(f"{number}.png,{label},{number},{split}")
    for copy in ("val", "test"):  # one training slice has a twin in each of the other parts
        shutil.copy(tmp_path / "0.png", tmp_path / f"{copy}.png")
        rows.append(f"{copy}.png,COVID,{copy},{copy}")
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n")
    trained = run(tmp_path, tmp_path / "run")
    with (trained.folder / "twins.csv").open() as handle:
        listed = [(row["part"], row["slice"], row["twin_slice"]) for row in csv.DictReader(handle)]
    assert {("train", "0.png", "val.png"), ("train", "0.png", "test.png"), ("val", "val.png", "test.png")} <= set(
        listed
    )
    assert trained.result["near_twins_left_out"] == len({slice_ for _, slice_, _ in listed}) < len(listed)


def test_unknown_patients_are_not_counted_as_patients(finished: Path, dataset: Path, tmp_path: Path) -> None:
    known = json.loads((finished / "result.json").read_text())
    assert sum(known["patients"].values()) == 15
    assert set(known["slices_without_patient"].values()) == {0}
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    (data / "images.csv").unlink()
    unknown = run(data, tmp_path / "run").result
    assert set(unknown["patients"].values()) == {0}
    assert unknown["slices_without_patient"] == unknown["slices"]


def test_one_epoch_is_drawn_and_its_axis_has_whole_numbers(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []

    def keep(figure: Figure, *_: object, **__: object) -> None:
        figure.canvas.draw()
        drawn.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_curves(finished / "log.csv", tmp_path / "curves.png", losses=("one", "other"))
    (figure,) = drawn
    for axis in figure.axes:
        assert all(line.get_marker() not in ("", "None", None) for line in axis.lines)
        assert all(float(tick).is_integer() for tick in axis.get_xticks())
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["one", "other"]


def test_losses_that_differ_are_told_apart() -> None:
    preset = load_classifier("threeclass-simple").model_copy(update={"class_weights": False, "focal_gamma": 0.0})
    assert loss_names(preset) == ("training", "validation")
    weighted = preset.model_copy(update={"class_weights": True})
    assert loss_names(weighted) == ("training: cross-entropy, weighted by class", "validation: cross-entropy")
    focal = preset.model_copy(update={"focal_gamma": 2.0})
    assert loss_names(focal) == ("training: focal loss", "validation: cross-entropy")


@pytest.mark.parametrize("text", [None, "epoch,loss\n1,0.5\n", "epoch,loss,val_loss,val_auroc\n1,a,b,c\n"])
def test_a_missing_or_damaged_log_says_what_to_do(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "log.csv").write_text(text)
    with pytest.raises(OptionError, match=r"log\.csv is missing or damaged.*restore it, or delete"):
        draw_curves(tmp_path / "log.csv", tmp_path / "curves.png")
