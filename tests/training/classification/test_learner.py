"""A classifier's training goes on where it was cut off, and refuses to go on with something else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import torch

from groundglass.errors import OptionError
from groundglass.training.classification.presets import ClassifierPreset, load_classifier
from groundglass.training.classification.run import TrainedClassifier, train

KILLED = """
import os, signal, sys
from pathlib import Path
from groundglass.training.classification import learner
from tests.training.classification.test_learner import run
count = 0
def save(state, path, keep=learner.save):
    global count
    count += 1
    if path.name == learner.CHECKPOINT and state["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # best.pt of the third epoch may be there, its checkpoint is not
    keep(state, path)
learner.save = save
run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def preset(epochs: int = 5, **changes: object) -> ClassifierPreset:
    """Small, with chance in the pictures and, by its dropout, in the network."""
    small = {"size": 32, "batch": 8, "epochs": epochs, "augmentation": True, "pretrained": False}
    return load_classifier("threeclass-lite").model_copy(update={**small, **changes})


def run(data: Path, folder: Path, epochs: int = 5) -> TrainedClassifier:
    torch.set_num_threads(1)
    return train(preset(epochs), data, folder)


def weights(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "checkpoint.pt", weights_only=True)["network"])


def test_a_killed_run_ends_as_if_it_had_not_been(dataset: Path, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.run([sys.executable, "-c", KILLED, str(dataset), str(killed)], check=False, cwd=os.getcwd())
    assert process.returncode == -signal.SIGKILL
    assert torch.load(killed / "checkpoint.pt", weights_only=True)["epoch"] == 2
    resumed, straight = run(dataset, killed), run(dataset, whole)
    ours, theirs = weights(killed), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.result == straight.result
    for name in ("log.csv", "predictions.csv"):
        assert (killed / name).read_text() == (whole / name).read_text()
    # A finished run goes on when more epochs are asked for, and ends as one that was asked for them at once.
    longer = run(dataset, killed, epochs=6)
    assert longer.result == run(dataset, tmp_path / "long", epochs=6).result


def test_a_run_of_something_else_is_refused(dataset: Path, tmp_path: Path) -> None:
    folder, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(dataset, data)
    train(preset(1), data, folder)
    with pytest.raises(OptionError, match="other settings"):
        train(preset(1, size=48), data, folder)
    with pytest.raises(OptionError, match="other settings"):
        train(preset(1), data, folder, seed=1)
    table = (data / "images.csv").read_text().splitlines()
    (data / "images.csv").write_text("\n".join(table[:-1]) + "\n")
    with pytest.raises(OptionError, match="other data"):
        train(preset(1), data, folder)
    (data / "images.csv").write_text("\n".join(table) + "\n")
    # The same names with other pictures: noticed where the run would go on learning.
    first, second = ((data / line.split(",")[0]) for line in (table[1], table[-1]))
    shutil.copy(second, first)
    with pytest.raises(OptionError, match="learned from other slices"):
        train(preset(2), data, folder)
    (folder / "checkpoint.pt").write_bytes((folder / "checkpoint.pt").read_bytes()[:100])
    with pytest.raises(OptionError, match=r"checkpoint.pt is damaged \(\w+\), so the run cannot go on"):
        train(preset(2), data, folder)
    (folder / "preset.json").write_text("{")
    with pytest.raises(OptionError, match=r"preset.json is damaged"):
        train(preset(2), data, folder)
