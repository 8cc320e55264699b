"""A batch whose cases are text files that say what happens to them: quick, and as nasty as wanted."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from groundglass.analysis import Analysis, SourceRecord
from groundglass.batch import run
from groundglass.batch.engine import Limits
from groundglass.batch.outcome import Outcome
from groundglass.batch.run import BatchOptions, BatchSummary, run_batch
from groundglass.batch.work import Task
from groundglass.errors import NotCTError
from groundglass.io.read import ScanFiles
from groundglass.io.write import atomic_write_bytes, case_folder
from groundglass.measure import measure
from groundglass.options import AnalysisOptions
from groundglass.progress import Progress
from groundglass.runrecord import run_record
from tests.support.chest import infection_of, lungs_of, volume_of

LOG = "saved.log"


class FakeTask(Task):
    """The usual task with a pretended analyzer."""

    def analyzer(self) -> Any:
        return FakeAnalyzer()


class FakeAnalyzer:
    """Does what the file of the case says."""

    def analyze(self, scan: ScanFiles, *, progress: Progress) -> FakeResult:
        progress("network", 0, 0)
        words = scan.path.read_text().split()
        if words[0] == "hang":
            time.sleep(600)
        if words[0] == "die" or (words[0] == "die-once" and not scan.path.with_suffix(".died").exists()):
            scan.path.with_suffix(".died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if words[0] == "fill":
            filled = np.ones(600_000_000 // 8)
            time.sleep(600)
            assert filled.size
        if words[0] == "refuse":
            raise NotCTError(f"{scan.path.name}: no CT")
        if words[0] == "fault":
            raise KeyError("a fault")
        time.sleep(float(words[1]) if words[0] == "slow" else 0.0)
        return FakeResult(fake_analysis(scan.case, sum(scan.case.encode())), scan.path.parent)


@dataclass(frozen=True)
class FakeResult:
    """Writes `analysis.json` alone, and one line into a log when that is done."""

    analysis: Analysis
    inputs: Path

    def save(self, folder: Path) -> None:
        with case_folder(Path(folder), self.analysis.case) as (partial, _):
            atomic_write_bytes(partial / "analysis.json", self.analysis.to_json().encode())
        # The copy of a scan from an object store is gone by now, and the log with it.
        if self.inputs.is_dir():
            with (self.inputs / LOG).open("a") as log:
                log.write(f"{self.analysis.case}\n")


@cache
def _measurements(infected: int) -> Any:
    values = np.full((6, 6, 6), -800.0)
    lungs = np.zeros((6, 6, 6), np.uint8)
    lungs[:3], lungs[3:] = 2, 1
    infection = np.zeros_like(lungs)
    infection.flat[:infected] = 1
    volume = volume_of(values)
    return volume, measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method=None)


def fake_analysis(case: str, number: int) -> Analysis:
    """A record whose numbers depend on `number` alone."""
    _, measurements = _measurements(number % 100)
    return Analysis(
        case=case,
        source=SourceRecord(format="nifti", shape=[6, 6, 6], spacing_mm=[1, 1, 1], orientation="RAS", units="HU"),
        measurements=measurements,
        classification=None,
        findings=[],
        labels={},
        run=run_record(AnalysisOptions(), {"read": 0.1}, datetime.now(UTC), [], "f32"),
    )


class Recorder:
    """Remembers what a batch told."""

    def __init__(self, *, aloud: bool = False) -> None:
        self.ended: list[tuple[str, Outcome]] = []
        self.before = -1
        self._aloud = aloud

    def begin(self, total: int, ended: int) -> None:
        self.before = ended
        self._say("begin")

    def stage(self, worker: int, case: str, stage: str) -> None:
        if case and stage != "start":
            self._say(f"stage {case}")

    def end(self, case: str, outcome: Outcome) -> None:
        self.ended.append((case, outcome))
        self._say(f"end {case}")

    def _say(self, text: str) -> None:
        if self._aloud:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def fake_batch(inputs: Path, output: Path, recorder: Recorder, **options: Any) -> BatchSummary:
    """Run a batch of pretended cases, the text files of a folder."""
    vars(run)["Task"] = FakeTask
    limits = Limits(options.pop("seconds", None), options.pop("memory_mb", None))
    files = sorted(str(path) for path in inputs.glob("*.dcm"))
    settings = BatchOptions(workers=options.pop("workers", 2), limits=limits, **options)
    return run_batch(files, output, settings, recorder)


def write_cases(folder: Path, **cases: str) -> Path:
    """A folder of pretended cases: name -> what happens."""
    folder.mkdir(exist_ok=True)
    for name, text in cases.items():
        (folder / f"{name}.dcm").write_text(text)
    return folder


if __name__ == "__main__":
    fake_batch(Path(sys.argv[1]), Path(sys.argv[2]), Recorder(aloud=True))
