"""The same batch on a Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from groundglass.batch import run
from groundglass.batch.outcome import TIMED_OUT, WORKER_LOST
from groundglass.batch.work import Task
from tests.batch.fakes import LOG, FakeTask, Recorder, fake_batch, write_cases
from tests.batch.test_survival import table

pytest.importorskip("ray", reason="Ray is not installed (pip install 'groundglass[ray]')")
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _real_task_and_importable_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    vars(run)["Task"] = Task


def test_failures_and_lost_actors_end_as_on_this_machine(tmp_path: Path) -> None:
    cases = {"a": "ok", "b": "refuse", "c": "die-once", "d": "die", "e": "hang", "f": "slow 0.5"}
    inputs, recorder = write_cases(tmp_path / "in", **cases), Recorder()
    ray = fake_batch(inputs, tmp_path / "ray", recorder, engine="ray", seconds=5.0, attempts=2)
    kinds = {entry.case.name: entry.outcome.kind for entry in ray.failures if entry.outcome}
    assert kinds == {"b": "NotCTError", "d": WORKER_LOST, "e": TIMED_OUT}
    assert ray.counts == {"done": 3, "failed": 3}
    assert [row["case"] for row in table(tmp_path / "ray")] == list("abcdef")


def test_killed_actors_change_nothing(tmp_path: Path) -> None:
    cases = {f"case{n}": "slow 0.4" for n in range(10)}
    calm, inputs = write_cases(tmp_path / "calm", **cases), write_cases(tmp_path / "in", **cases)
    fake_batch(calm, tmp_path / "local", Recorder())
    killed: list[int] = []
    over = threading.Event()
    killer = threading.Thread(target=_kill_actors, args=(over, killed))
    killer.start()
    try:
        summary = fake_batch(inputs, tmp_path / "ray", Recorder(), engine="ray", attempts=5)
    finally:
        over.set()
        killer.join()
    assert killed, "no actor was seen at work"
    assert summary.complete
    assert table(tmp_path / "ray") == table(tmp_path / "local")
    saved = (inputs / LOG).read_text().split()
    assert sorted(set(saved)) == sorted(cases)
    assert len(saved) == len(cases), "no finished case is repeated"


def _kill_actors(over: threading.Event, killed: list[int]) -> None:
    """Kill an actor that is at work, twice."""
    while len(killed) < 2 and not over.is_set():
        time.sleep(0.5)
        actors = [child for child in psutil.Process().children(recursive=True) if _is_actor(child)]
        if actors:
            os.kill(actors[0].pid, signal.SIGKILL)
            killed.append(actors[0].pid)


def _is_actor(process: psutil.Process) -> bool:
    try:
        return "CaseWorker.run" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_cases_and_results_in_an_object_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "x.nii").write_text("ok")
    vars(run)["Task"] = FakeTask
    options = run.BatchOptions(workers=1, store=f"file://{tmp_path}/results")
    summary = run.run_batch([f"file://{store}"], tmp_path / "out", options, Recorder())
    assert summary.complete
    assert (tmp_path / "results" / "x" / "analysis.json").is_file()
    assert not (tmp_path / "out" / "x").exists()
