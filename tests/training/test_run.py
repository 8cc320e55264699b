"""Whole runs: what they leave, resuming after a kill, two processes, transfer, failures."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("monai")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from groundglass.errors import DivergedError, OptionError, OutputError  # noqa: E402
from groundglass.inference.segment import SliceSegmenter  # noqa: E402
from groundglass.models.catalog import load_card  # noqa: E402
from groundglass.training.data import Numbers  # noqa: E402
from groundglass.training.module import SegmentationModule  # noqa: E402
from groundglass.training.presets import load_preset  # noqa: E402
from groundglass.training.run import TrainOptions, train  # noqa: E402
from groundglass.training.transfer import checkpoint_at, load_checkpoint, weights_of  # noqa: E402
from tests.training.pictures import TINY, tiny_preset, write_pictures  # noqa: E402

OPTIONS = TrainOptions(workers=0)


def test_a_run_leaves_everything(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    run = train(
        load_preset(tiny),
        pictures,
        tmp_path / "run",
        folds=(0,),
        options=TrainOptions(workers=0, validation_folds=(1,)),
        progress=lambda *told: steps.append(told),
    )
    assert ("training", 4, 4) in steps
    assert run.steps == 4
    rows = list(csv.DictReader(run.log.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(0 <= float(row["validation_dice"]) <= 1 for row in rows)
    assert run.validation_dice == pytest.approx(max(float(row["validation_dice"]) for row in rows), abs=1e-5)
    assert np.asarray(cv2.imread(str(run.curve))).std() > 5
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    card = load_card(run.card.stem, run.card.parent)
    assert card.channels == ("lung", "infection")
    assert set(card.metrics[0].cases) == {"v1", "v3"}
    assert any("6 slices of 2 patients" in text for text in card.trained_on)
    assert SliceSegmenter(card).size == 32
    assert not list((tmp_path / "run").rglob("*partial*"))


def final_weights(run: Path) -> dict[str, Any]:
    return dict(torch.load(run / "last.ckpt", weights_only=True)["state_dict"])


def command(tiny: Path, data: Path, run: Path, *more: str) -> list[str]:
    base = [sys.executable, "-W", "ignore", "-m", "groundglass", "train", str(tiny), "--data", str(data)]
    return [*base, "-o", str(run), "--workers", "0", "--threads", "1", *more]


def test_a_killed_run_ends_as_if_it_had_not_been(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    options = TrainOptions(workers=0, steps=40, threads=1)
    whole = train(load_preset(tiny), pictures, tmp_path / "whole", options=options)
    killed = tmp_path / "killed"
    process = subprocess.Popen(command(tiny, pictures, killed, "--steps", "40"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "log.csv").exists() or len((killed / "log.csv").read_text().splitlines()) < 4:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert torch.load(killed / "last.ckpt", weights_only=True)["global_step"] < 40
    resumed = train(load_preset(tiny), pictures, killed, options=options)
    ours, theirs = final_weights(killed), final_weights(tmp_path / "whole")
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert resumed.log.read_text() == whole.log.read_text()
    assert resumed.validation_dice == whole.validation_dice


def test_two_processes_train_together(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ("--devices", "2", "--json", "--validation-fold", "1")
    done = subprocess.run(command(tiny, pictures, run, *more), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["steps"] == 4
    single = train(
        load_preset(tiny), pictures, tmp_path / "single", options=TrainOptions(workers=0, validation_folds=(1,))
    )
    ours = load_card("tiny", run / "model")
    assert set(ours.metrics[0].cases) == set(load_card("tiny", single.folder / "model").metrics[0].cases)


def test_who_is_kept_apart_is_told(
    pictures: Path, tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="groundglass.training")
    train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=2, validation_folds=(1,)))
    assert "2 volumes of 2 patients are kept apart for validation: " in caplog.text


def test_other_settings_do_not_resume(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=2))
    with pytest.raises(OptionError, match="other settings"):
        train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=2, rate=0.5))
    with pytest.raises(OptionError, match="holds a run already"):
        train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=2), resume=False)


def test_other_data_do_not_resume(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    preset, options = load_preset(tiny), TrainOptions(workers=0, steps=2)
    first = train(preset, pictures, tmp_path / "run", options=options)
    card = first.card.read_text()
    others = write_pictures(tmp_path / "others", first_seed=3000)
    with pytest.raises(OptionError, match=r"a run on other data than .*others"):
        train(preset, others, tmp_path / "run", options=options)
    assert first.card.read_text() == card
    # Runs of earlier versions did not record their data; they go on.
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(
        json.dumps({key: value for key, value in json.loads(settings.read_text()).items() if key != "data"})
    )
    assert train(preset, pictures, tmp_path / "run", options=options).steps == 2


def test_a_run_that_stopped_early_is_finished(pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="groundglass.training")
    # Nothing is learned at such a rate, so the second validation is no better than the first.
    text = TINY.replace("rate = 0.01", "rate = 1e-12\npatience = 1").replace("steps = 4", "steps = 20")
    preset = load_preset(tiny_preset(tmp_path, text))
    first = train(preset, pictures, tmp_path / "run", options=OPTIONS)
    assert first.steps == 4
    checkpoints = {path: path.read_bytes() for path in (first.best, first.last, first.log)}
    again = train(preset, pictures, tmp_path / "run", options=OPTIONS)
    assert again == first
    assert {path: path.read_bytes() for path in checkpoints} == checkpoints
    assert "the run stopped at step 4" in caplog.text


def test_what_a_kill_left_is_removed(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    leftover, other = tmp_path / ".last.ckpt.partial-0123abcd", tmp_path / ".notes.partial-1"
    for path in (leftover, other):
        path.write_text("half")
    train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=2))
    assert not leftover.exists()
    assert other.exists()


def test_a_run_starts_from_the_folder_of_another(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    first = train(load_preset(tiny), pictures, tmp_path / "first", options=TrainOptions(workers=0, steps=2))
    assert checkpoint_at(first.folder) == first.best != first.last
    own = SegmentationModule(load_preset(tiny), steps=2, period=2, seed=1).network
    assert load_checkpoint(own, first.folder) == len(own.state_dict())
    for name, value in weights_of(first.best).items():
        torch.testing.assert_close(own.state_dict()[name], value)
    options = TrainOptions(workers=0, steps=2, start=first.folder)
    assert train(load_preset(tiny), pictures, tmp_path / "second", options=options).steps == 2
    # A preset that keeps the last weights has chosen nothing by validation, and a start must not do so either.
    settings = first.folder / "settings.json"
    settings.write_text(settings.read_text().replace('"keep": "best"', '"keep": "last"'))
    assert checkpoint_at(first.folder) == first.last
    with pytest.raises(OptionError, match="expected the folder of a run"):
        checkpoint_at(tmp_path)


def test_a_frozen_encoder_keeps_its_running_statistics(tmp_path: Path) -> None:
    network = 'kind = "mobilenetv2-unet"\ndecoder = [8, 8, 8, 8]\nwidth = 0.25\npretrained = ""\n'
    text = TINY.split("[network]")[0] + "[network]\n" + network + "[schedule]\nsteps = 4\nfreeze_encoder = 1\n"
    module = SegmentationModule(load_preset(tiny_preset(tmp_path, text)), steps=4, period=2, seed=0)
    for frozen in (True, False):
        before = {name: value.clone() for name, value in module.network.named_buffers() if "running" in name}
        module.network.train()
        module.epoch_steps = 2 if frozen else 0
        module.on_train_epoch_start()
        module.network(torch.rand(2, 1, 32, 32) * 255)
        now = dict(module.network.named_buffers())
        moved = {name.split(".")[0] for name, value in before.items() if not torch.equal(now[name], value)}
        assert "decoder" in moved
        assert ("encoder" in moved) is not frozen


def test_a_frozen_encoder_stays_as_it_started(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    first = train(load_preset(tiny), pictures, tmp_path / "first", options=TrainOptions(workers=0, steps=2))
    options = TrainOptions(workers=0, steps=2, seed=5, start=first.last, freeze_encoder=1)
    second = train(load_preset(tiny), pictures, tmp_path / "second", options=options)
    before, after = weights_of(first.last), final_weights(second.folder)
    conv = "network.conv_0.conv_0.conv.weight"
    head = "network.final_conv.weight"
    torch.testing.assert_close(after[f"network.{conv}"], before[conv])
    assert not torch.equal(after[f"network.{head}"], before[head])


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save({"averaged": {"other.weight": torch.zeros(3, 3)}}, tmp_path / "other.pt")
    with pytest.raises(OptionError, match="same architecture"):
        load_checkpoint(torch.nn.Linear(2, 2), tmp_path / "other.pt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(OptionError, match="not a checkpoint"):
        weights_of(tmp_path / "text.ckpt")
    with pytest.raises(OptionError, match="no checkpoint"):
        weights_of(tmp_path / "absent.ckpt")


def test_a_loss_that_is_no_number_ends_the_run(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="lower --rate"):
        train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=0, steps=20, rate=1e30))


def test_a_full_disk_is_said_plainly(
    pictures: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("groundglass.training.callbacks.torch.save", full)
    with pytest.raises(OutputError, match="disk is full"):
        train(load_preset(tiny), pictures, tmp_path, options=OPTIONS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TrainOptions(steps=1, epochs=1), "both steps and epochs"),
        (TrainOptions(batch=3, devices=2), "cannot be dealt"),
        (TrainOptions(rate=-1.0), "rate"),
        (TrainOptions(precision="fp16"), "fp16 needs a GPU"),
        (TrainOptions(validation_folds=(7,)), "fold 7 does not exist"),
    ],
)
def test_options_that_do_not_fit(options: TrainOptions, words: str, pictures: Path, tiny: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(OptionError, match=words):
        train(load_preset(tiny), pictures, tmp_path, options=options)


@pytest.mark.parametrize("workers", [0, 1])
def test_every_period_shows_new_examples(
    workers: int, pictures: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    plain = Numbers.__iter__

    def watched(self: Numbers) -> Iterator[int]:
        numbers = list(plain(self))
        drawn.extend(numbers)
        return iter(numbers)

    monkeypatch.setattr(Numbers, "__iter__", watched)
    train(load_preset(tiny), pictures, tmp_path, options=TrainOptions(workers=workers))
    assert drawn == list(range(8))
