"""`groundglass train` for presets that classify slices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from groundglass.cli.main import main
from tests.training.classification.conftest import dataset as dataset

SWITCHES = [
    *("--set", "size=32", "--set", "classes=binary", "--set", "smote=true", "--set", "focal_gamma=2"),
    *("--set", "class_weights=true", "--set", "augmentation=true", "--set", "stage=lungs-masked"),
    *("--set", "lungs=classical", "--epochs", "1", "--json"),
]


def test_the_switches_of_the_sources_are_options(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["train", "threeclass-simple", "--data", str(dataset), "-o", str(run), *SWITCHES]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == ["COVID", "NonCOVID"]
    assert told["started_from"] == "random weights"
    preset = json.loads((run / "preset.json").read_text())["preset"]
    assert (preset["smote"], preset["class_weights"], preset["augmentation"]) == (True, True, True)
    assert (preset["focal_gamma"], preset["stage"], preset["epochs"]) == (2.0, "lungs-masked", 1)
    assert {"threeclass-simple.onnx", "threeclass-simple.json"} == {path.name for path in (run / "model").iterdir()}
    # A finished run is read; --no-resume trains it anew.
    stamp = (run / "best.pt").stat().st_mtime_ns
    assert main(command) == 0
    assert (run / "best.pt").stat().st_mtime_ns == stamp
    assert main([*command, "--no-resume", "--set", "focal_gamma=1"]) == 0
    assert (run / "best.pt").stat().st_mtime_ns > stamp


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "3"], "--steps is for segmentation presets"),
        (["--fold", "1"], "--fold is for segmentation presets"),
        (["--validation-fold", "1"], "--validation-fold is for segmentation presets"),
        (["--start", "nothing.ckpt"], "--start is for segmentation presets"),
        (["--show-samples", "s.png"], "explain SLICE --stages"),
        (["--precision", "fp32"], "--precision is for segmentation presets"),
        (["--rate", "-1"], "rate: Input should be greater than 0"),
        (["--rate", "nan"], "rate: Input should be"),
        (["--set", "smote"], "expected KEY=VALUE"),
        (["--set", "colour=red"], "colour: Extra inputs are not permitted"),
        (["--set", "stage=whole"], "stage: Input should be 'original'"),
        (["--set", "network.kind=cnn"], "network is no table"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str], words: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "threeclass-simple", "--data", str(dataset), "-o", str(run), *options]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not run.exists()


def test_missing_imagenet_weights_are_said(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "threeclass-efficientnet-b0", "--data", str(dataset), "-o", str(tmp_path / "run")]
    assert main([*command, "--epochs", "1", "--set", "size=32", "--set", f"weights={tmp_path / 'none'}"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "no ImageNet weights for efficientnet-b0" in said
    assert json.loads((tmp_path / "run" / "result.json").read_text())["started_from"] == "random weights"


def test_a_preset_is_printed_to_be_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "covid-cnn", "--show-preset"]) == 0
    own = tmp_path / "own.toml"
    own.write_text(capsys.readouterr().out)
    assert 'network = "cnn"' in own.read_text()
    assert main(["train", str(own)]) == 2
    assert "give their folder with --data" in " ".join(capsys.readouterr().err.split())
