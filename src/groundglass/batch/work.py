"""One case from its files to its folder; the same in a local process and on a cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import pydantic

from groundglass.analysis import Analysis
from groundglass.analyzer import Analyzer
from groundglass.batch.cases import Case
from groundglass.batch.outcome import Outcome
from groundglass.batch.remote import local_copy, local_output, stored_text
from groundglass.batch.table import fact_row, measurement_row
from groundglass.errors import GroundglassError
from groundglass.io.read import ScanFiles
from groundglass.io.write import MARKER
from groundglass.options import AnalysisOptions
from groundglass.progress import Progress
from groundglass.settings import Settings


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a batch does.

    Attributes:
        output: folder or address of all results.
        options: choices of every analysis.
        settings: limits, and the threads of one worker.
    """

    output: str
    options: AnalysisOptions
    settings: Settings

    def analyzer(self) -> Analyzer:
        """An analyzer with its networks loaded.

        Raises:
            ModelError: the network is missing or damaged.
        """
        analyzer = Analyzer(self.options, settings=self.settings)
        analyzer.load()
        return analyzer


def run_case(case: Case, task: Task, analyzer: Analyzer, progress: Progress) -> Outcome:
    """Analyze one case and write its folder; whatever goes wrong with it is in the outcome."""
    start = time.perf_counter()
    try:
        analysis = _analyzed(case, task, analyzer, progress)
    except GroundglassError as error:
        return _failure(case, type(error).__name__, str(error), start)
    except MemoryError:
        return _failure(case, "MemoryError", "not enough memory for this scan", start)
    except Exception as error:  # noqa: BLE001 - one bad case must not end the others
        text = f"unexpected {type(error).__name__}: {error}. This is a fault of the program, please report it"
        return _failure(case, type(error).__name__, text, start)
    return outcome_of(case, analysis, time.perf_counter() - start)


def _analyzed(case: Case, task: Task, analyzer: Analyzer, progress: Progress) -> Analysis:
    with local_copy(case.path) as path:
        result = analyzer.analyze(ScanFiles(path, case.name, case.members), progress=progress)
    progress("report", 0, 0)
    with local_output(task.output) as folder:
        result.save(folder)
    return result.analysis


def _failure(case: Case, kind: str, reason: str, start: float) -> Outcome:
    return Outcome(case.identity, "failed", kind, reason, seconds=round(time.perf_counter() - start, 3))


def outcome_of(case: Case, analysis: Analysis, seconds: float) -> Outcome:
    """The outcome of a case that has a result.

    Where a finding says that the numbers must not be used, they stay out of the table.
    """
    errors = [finding for finding in analysis.findings if finding.severity == "error"]
    if analysis.slices is not None:
        # One bad picture does not spoil a folder of them.
        errors = [finding for finding in errors if finding.code == "no-lungs"]
    if not errors:
        row = measurement_row(analysis) | fact_row(analysis)
        return Outcome(case.identity, "done", row=row, seconds=round(seconds, 3))
    kind, reason = (" ".join(part) for part in zip(*((one.code, one.text) for one in errors), strict=True))
    return Outcome(case.identity, "unusable", kind, reason, fact_row(analysis), round(seconds, 3))


def finished_before(case: Case, task: Task, claimed: float) -> Outcome | None:
    """The outcome of a case whose folder is complete, though nobody was left to record it; None where it is not.

    Args:
        case: a case that was under way when its worker or the parent ended.
        task: the batch.
        claimed: when the case was begun, seconds since 1970; an older result is not taken for this one.
    """
    text = stored_text(task.output, case.name, MARKER)
    if text is None or claimed <= 0:
        return None
    try:
        analysis = Analysis.from_json(text)
    except pydantic.ValidationError:
        return None
    # The record holds whole seconds.
    if analysis.case != case.name or datetime.fromisoformat(analysis.run.started).timestamp() < int(claimed):
        return None
    return outcome_of(case, analysis, sum(analysis.run.seconds.values()))
