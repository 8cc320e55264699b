"""Workers and parents that are killed, hang, or take too much: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from groundglass.batch import run
from groundglass.batch.outcome import OVER_MEMORY, TIMED_OUT, WORKER_LOST
from groundglass.batch.table import TIMING
from groundglass.batch.work import Task
from groundglass.errors import OptionError, OutputError
from groundglass.options import AnalysisOptions
from tests.batch.fakes import LOG, Recorder, fake_batch, write_cases

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _real_task() -> Iterator[None]:
    yield
    vars(run)["Task"] = Task


def table(output: Path) -> list[dict[str, str]]:
    """`results.csv` without the columns of time and memory."""
    with (output / "results.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in TIMING} for row in csv.DictReader(file)]


def test_one_bad_case_among_good_ones_ends_nothing(tmp_path: Path) -> None:
    cases = {"a": "ok", "b": "refuse", "c": "ok", "d": "fault", "e": "hang", "f": "die", "g": "fill", "h": "ok"}
    inputs, recorder = write_cases(tmp_path / "in", **cases), Recorder()
    summary = fake_batch(inputs, tmp_path / "out", recorder, seconds=10.0, memory_mb=550.0, attempts=2)
    kinds = {entry.case.name: entry.outcome.kind for entry in summary.failures if entry.outcome}
    assert kinds == {"b": "NotCTError", "d": "KeyError", "e": TIMED_OUT, "f": WORKER_LOST, "g": OVER_MEMORY}
    assert summary.counts == {"done": 3, "failed": 5}
    assert not summary.complete
    rows = {row["case"]: row for row in table(tmp_path / "out")}
    assert list(rows) == list("abcdefgh")
    assert "b.dcm: no CT" in rows["b"]["reason"]
    assert "--timeout" in rows["e"]["reason"]
    assert "lost 2 times" in rows["f"]["reason"]
    assert "--memory-limit" in rows["g"]["reason"]
    assert float(rows["a"]["lung_volume_ml_total"]) == pytest.approx(0.216)
    assert not rows["b"]["lung_volume_ml_total"]


def test_a_killed_worker_is_replaced_and_its_case_tried_again(tmp_path: Path) -> None:
    inputs = write_cases(tmp_path / "in", a="die-once", b="ok")
    summary = fake_batch(inputs, tmp_path / "out", Recorder(), workers=1)
    assert summary.counts == {"done": 2}
    assert summary.complete


def test_the_order_of_inputs_and_the_number_of_workers_change_nothing(tmp_path: Path) -> None:
    inputs = write_cases(tmp_path / "in", **{f"case{n}": f"slow {0.1 * (n % 3)}" for n in range(6)})
    fake_batch(inputs, tmp_path / "one", Recorder(), workers=1)
    fake_batch(inputs, tmp_path / "three", Recorder(), workers=3)
    assert table(tmp_path / "one") == table(tmp_path / "three")


def test_a_second_run_repeats_nothing_and_takes_up_new_cases(tmp_path: Path) -> None:
    inputs, out = write_cases(tmp_path / "in", a="ok", b="refuse"), tmp_path / "out"
    fake_batch(inputs, out, Recorder())
    write_cases(inputs, c="ok")
    recorder = Recorder()
    fake_batch(inputs, out, recorder)
    assert recorder.before == 2
    assert [name for name, _ in recorder.ended] == ["c"]
    assert (inputs / LOG).read_text().split() == ["a", "c"]
    (inputs / "b.dcm").write_text("ok")
    assert fake_batch(inputs, out, Recorder(), retry_failed=True).complete
    recorder = Recorder()
    fake_batch(inputs, out, recorder, mode="restart")
    assert len(recorder.ended) == 3


def test_other_options_are_refused_until_restart(tmp_path: Path) -> None:
    inputs, out = write_cases(tmp_path / "in", a="ok"), tmp_path / "out"
    fake_batch(inputs, out, Recorder())
    other = AnalysisOptions(infection_threshold=0.3)
    files = [str(inputs / "a.dcm")]
    with pytest.raises(OptionError, match=r"infection_threshold.*--restart"):
        run.run_batch(files, out, run.BatchOptions(workers=1), Recorder(), analysis=other)
    assert run.run_batch(files, out, run.BatchOptions(1, mode="restart"), Recorder(), analysis=other).complete


def test_ten_kills_of_the_parent_change_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    cases = {f"case{n:02}": f"slow {chance.uniform(0.02, 0.2):.3f}" for n in range(30)}
    calm = write_cases(tmp_path / "calm", **cases)
    fake_batch(calm, tmp_path / "undisturbed", Recorder())
    inputs, out = write_cases(tmp_path / "in", **cases), tmp_path / "out"
    for _ in range(10):
        _killed_run(inputs, out, chance)
    assert fake_batch(inputs, out, Recorder()).complete
    assert table(out) == table(tmp_path / "undisturbed")
    saved = Counter((inputs / LOG).read_text().split())
    assert set(saved.values()) == {1}
    assert len(saved) >= 29, "a save may go unlogged where the kill came between the two"
    assert not list(out.glob(".*.partial-*"))


def _killed_run(inputs: Path, out: Path, chance: random.Random) -> None:
    """Start a batch and kill its parent, or a worker and then its parent, at some moment."""
    command = [sys.executable, "-m", "tests.batch.fakes", str(inputs), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        for _ in range(chance.randint(1, 7)):
            parent.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            workers = psutil.Process(parent.pid).children(recursive=True)
            if workers and chance.random() < 0.5:
                os.kill(chance.choice(workers).pid, signal.SIGKILL)
                time.sleep(chance.uniform(0.0, 0.3))
            parent.kill()
        parent.wait()
    _wait_for_end(workers)


def _wait_for_end(workers: list[psutil.Process]) -> None:
    """Workers without a parent end by themselves."""
    _, alive = psutil.wait_procs([worker for worker in workers if worker.is_running()], timeout=20)
    assert not alive


def test_two_batches_cannot_share_a_folder(tmp_path: Path) -> None:
    inputs, out = write_cases(tmp_path / "in", a="hang"), tmp_path / "out"
    command = [sys.executable, "-m", "tests.batch.fakes", str(inputs), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(OutputError, match="another batch"):
            fake_batch(inputs, out, Recorder())
        first.kill()
