from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.errors import DatasetError, PresetError
from groundglass.image.stages import classical_lungs

pytest.importorskip("torch")
import torch

from groundglass.training.classification.gradcam import grad_cam
from groundglass.training.classification.nets.build import NETWORKS, NetworkName, build
from groundglass.training.classification.nets.simple import CBR
from groundglass.training.classification.presets import CLASSIFICATION, is_classifier, load_classifier
from groundglass.training.classification.run import train
from groundglass.training.presets import available_presets
from tests.training.classification.conftest import slice_picture

NAMES = available_presets(CLASSIFICATION)
SOURCES = {
    "covid-cnn",
    "covid-efficientnetb0-focal",
    "threeclass-simple",
    "threeclass-cbr-tiny",
    "threeclass-cbr-small",
    "threeclass-cbr-largew",
    "threeclass-cbr-larget",
    "threeclass-bit-resnet50",
    "threeclass-efficientnet-b0",
    "threeclass-efficientnet-b3",
    "threeclass-efficientnet-b7",
}


def lungs(images: list[np.ndarray]) -> list[np.ndarray]:
    return [classical_lungs(image) for image in images]


def test_every_classifier_of_the_sources_is_there() -> None:
    assert set(NAMES) >= SOURCES
    assert is_classifier("covid-cnn")
    assert not is_classifier("lungs-infection")
    with pytest.raises(PresetError):
        load_classifier("lungs-infection")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_with_random_weights_tells_pictures_apart(network: NetworkName) -> None:
    torch.manual_seed(0)
    clouds = torch.nn.functional.interpolate(torch.rand(6, 1, 9, 9), 64, mode="bilinear") * 255
    with torch.no_grad():
        answers = build(network, 3).train()(clouds)
    assert float(answers.std(dim=0).mean()) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_two_epochs_of_every_preset(name: str, dataset: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    preset = load_classifier(name).model_copy(update={"size": 32, "batch": 16, "epochs": 2, "pretrained": False})
    trained = train(preset, dataset, tmp_path / "run", lungs=lungs)  # type: ignore[arg-type]
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    for part in ("val", "test"):
        assert np.sum(trained.result[part]["confusion"]) == trained.result["slices"][part] > 0
    # A finished run is read, not trained again.
    best = (tmp_path / "run" / "best.pt").stat().st_mtime_ns
    again = train(preset, dataset, tmp_path / "run", lungs=lungs)  # type: ignore[arg-type]
    assert again.result == json.loads(json.dumps(trained.result))
    assert (tmp_path / "run" / "best.pt").stat().st_mtime_ns == best


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_grad_cam_of_every_preset(name: str, method: str) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    preset = load_classifier(name)
    network = build(preset.network, len(preset.class_names)).eval()
    heat = grad_cam(network, network.explained, torch.rand(1, 1, 64, 64) * 255, 0, method=method)  # type: ignore[arg-type]
    assert heat.ndim == 2
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1.0) or not heat.any()


def test_cbr_networks_have_the_sizes_of_the_paper() -> None:
    def weights(name: str) -> float:
        return sum(p.numel() for p in build(name, 5).parameters()) / 1e6  # type: ignore[arg-type,misc]

    assert {name: round(weights(name), 1) for name in CBR} == {
        "cbr-tiny": 1.1,
        "cbr-small": 2.1,
        "cbr-largew": 8.4,
        "cbr-larget": 8.5,
    }


def test_a_network_learns_what_is_easy(dataset: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    preset = load_classifier("covid-cnn").model_copy(update={"size": 48, "batch": 8, "epochs": 20})
    train(preset, dataset, tmp_path / "run", lungs=lungs)  # type: ignore[arg-type]
    losses = [float(line.split(",")[1]) for line in (tmp_path / "run" / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.6 * losses[0]


def test_slices_of_one_class_are_refused_and_open_labels_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["file,label,patient"]
    for label in ("COVID", "NonCOVID"):
        (tmp_path / label).mkdir()
        for number in range(5):
            cv2.imwrite(str(tmp_path / label / f"{number}.png"), slice_picture(rng, label))
            rows.append(f"{label}/{number}.png,{label},{label}{number}")
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n")
    preset = load_classifier("threeclass-simple").model_copy(update={"epochs": 1, "size": 32})
    with pytest.raises(DatasetError, match=r"found: 3 COVID; expected .*left out.*3 NonCOVID.*\"binary\""):
        train(preset, tmp_path, tmp_path / "run")
    told = train(preset.model_copy(update={"classes": "binary"}), tmp_path, tmp_path / "run")
    assert told.result["slices"]["train"] == 6
