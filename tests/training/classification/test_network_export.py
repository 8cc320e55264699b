"""The network and the card that a classifier run leaves, without torch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
import onnx
import torch

from groundglass.errors import TrainingError, UnusableModelError
from groundglass.inference.engine import import_openvino
from groundglass.models.catalog import load_card
from groundglass.models.place import segmentation_cards
from groundglass.training.classification import network_export
from groundglass.training.classification.nets.build import build
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.run import train
from groundglass.training.classification.trained import RunClassifier
from groundglass.training.export import halve_weights

RESULT = {"slices": {"train": 3}}


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    preset = load_classifier("threeclass-cbr-tiny", ["size=64", "epochs=1", "stage=lungs-cropped", "lungs=classical"])
    return train(preset, dataset, tmp_path_factory.mktemp("runs") / "run").folder


def test_the_file_answers_as_the_run_does(run: Path, dataset: Path) -> None:
    classifier = RunClassifier(run)
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(dataset.glob("*/*.png"))[:5]]
    seen = classifier.look([picture for picture in pictures if picture is not None])
    card = load_card("threeclass-cbr-tiny", run / "model")
    compiled = import_openvino().Core().compile_model(card.verify(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(np.stack([one.pixels[None] for one in seen]))[0]
    assert found.shape == (5, 3)
    np.testing.assert_allclose(found, classifier.probabilities(seen), atol=5e-3)


def test_the_card_says_what_it_is(run: Path) -> None:
    card = load_card("threeclass-cbr-tiny", run / "model")
    assert card.channels == ("COVID", "OtherPneumonia", "Normal")
    assert "random weights" in card.architecture
    assert "image stage 'lungs-cropped', lungs by classical, 64 x 64 pixels" in card.limits[1]
    assert card.preprocessing.size == 64
    assert any(metric.name == "COVID AUROC, validation" for metric in card.metrics)
    with pytest.raises(UnusableModelError, match="finds COVID, OtherPneumonia, Normal; expected a channel 'lung'"):
        segmentation_cards(run)


@pytest.mark.parametrize("name", ["covid-cnn", "efficientnet-b0-cnn", "bit-resnet50", "efficientnet-lite0", "simple"])
def test_every_kind_of_network_is_exported(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    kind = "cnn" if name == "covid-cnn" else name
    preset = load_classifier("threeclass-simple", [f"network={kind}", "size=64"])
    card = network_export.export_run(build(preset.network, 3), preset, RESULT, tmp_path)
    assert card.verify().is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["threeclass-simple.json", "threeclass-simple.onnx"]


def test_weights_that_do_not_bear_rounding_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset, measured = load_classifier("threeclass-simple", ["size=64"]), iter([0.3, 0.0])
    monkeypatch.setattr(network_export, "difference", lambda *_: next(measured))
    card = network_export.export_run(build(preset.network, 3), preset, RESULT, tmp_path)
    assert "stored as float32" in card.architecture
    halved = halve_weights(onnx.load(str(card.verify())))
    assert len(halved.SerializeToString()) < card.weights.stat().st_size


def test_an_export_that_disagrees_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = load_classifier("threeclass-simple", ["size=64"])
    monkeypatch.setattr(network_export, "difference", lambda *_: 0.5)
    with pytest.raises(TrainingError, match=r"differ from those of the trained one by 5\.0e-01"):
        network_export.export_run(build(preset.network, 3), preset, RESULT, tmp_path)
    assert not list(tmp_path.iterdir())
