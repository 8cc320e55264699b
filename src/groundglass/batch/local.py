"""The batch on this machine: worker processes, watched and replaced."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import psutil

from groundglass.batch.cases import Case
from groundglass.batch.engine import CaseSource, Ended, Limits, Lost, Observer
from groundglass.batch.outcome import OVER_MEMORY, TIMED_OUT, Outcome
from groundglass.batch.work import Task
from groundglass.batch.worker import Report, work
from groundglass.errors import ModelError, OutputError

_TICK_SECONDS = 0.2
_START_SECONDS = 600.0
_MOST_BROKEN_STARTS = 3


@dataclass(slots=True, eq=False)
class _Worker:
    """One process and what it does.

    Attributes:
        number: from 1, for the display.
        process: the process.
        pipe: to and from it.
        ready: whether its networks are loaded.
        case: under way; None while idle.
        since: monotonic time of the start of the process or of the case.
    """

    number: int
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    case: Case | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


class LocalEngine:
    """Runs cases in worker processes of this machine."""

    def __init__(self, task: Task, workers: int, limits: Limits, observer: Observer) -> None:
        """Prepare; processes start with `run`.

        Args:
            task: what to do with each case.
            workers: processes.
            limits: of each case.
            observer: told what each worker does.
        """
        self._task, self._count, self._limits, self._observer = task, workers, limits, observer
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._broken_starts = 0

    def run(self, source: CaseSource) -> Iterator[Ended | Lost]:
        """Work until `source` has no case left and all are back.

        Args:
            source: gives the next case, or None; a lost case may come again.

        Yields:
            `Ended` for each case that has an outcome, `Lost` for each that lost its worker, in the order of ending.

        Raises:
            ModelError: the networks cannot be loaded.
        """
        try:
            while True:
                yield from self._watch()
                waiting = self._give_out(source)
                if not waiting and not any(worker.case for worker in self._workers):
                    return
                sentinels = [worker.process.sentinel for worker in self._workers]
                connection.wait([*(worker.pipe for worker in self._workers), *sentinels], _TICK_SECONDS)
        finally:
            self._stop()

    def _give_out(self, source: CaseSource) -> bool:
        """Give every idle worker a case, and start workers as long as there are cases for them."""
        for worker in self._workers:
            if worker.ready and worker.case is None:
                case = source.next()
                if case is None:
                    break
                worker.case, worker.since = case, time.monotonic()
                self._observer.stage(worker.number, case.name, "start")
                _send(worker.pipe, case)
        starting = sum(not worker.ready for worker in self._workers)
        while len(self._workers) < self._count and starting < source.waiting():
            self._workers.append(self._start())
            starting += 1
        return source.waiting() > 0

    def _start(self) -> _Worker:
        taken = {worker.number for worker in self._workers}
        number = next(number for number in range(1, self._count + 1) if number not in taken)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._task), name=f"groundglass-{number}")
        process.start()
        theirs.close()
        self._observer.stage(number, "", "load network")
        return _Worker(number, process, ours)

    def _watch(self) -> Iterator[Ended | Lost]:
        for worker in list(self._workers):
            for report in _reports(worker.pipe):
                yield from self._heard(worker, report)
            if not worker.process.is_alive():
                yield from (ended for report in _reports(worker.pipe) for ended in self._heard(worker, report))
                yield from self._died(worker)
            elif (outcome := self._beyond_limits(worker)) is not None:
                self._remove(worker)
                yield Ended(outcome)
            elif not worker.ready and worker.seconds > _START_SECONDS:
                self._remove(worker)

    def _heard(self, worker: _Worker, report: Report) -> Iterator[Ended]:
        if report.what == "broken":
            raise ModelError(report.text)
        if report.what == "ready":
            worker.ready, self._broken_starts = True, 0
            self._observer.stage(worker.number, "", "idle")
        elif report.what == "stage" and worker.case is not None:
            self._observer.stage(worker.number, worker.case.name, report.text)
        elif report.what == "end" and report.outcome is not None:
            worker.case = None
            self._observer.stage(worker.number, "", "idle")
            yield Ended(report.outcome)

    def _died(self, worker: _Worker) -> Iterator[Lost]:
        self._remove(worker)
        if worker.case is not None:
            yield Lost(worker.case, _how_it_ended(worker.process.exitcode))
        elif not worker.ready:
            self._broken_starts += 1
            if self._broken_starts >= _MOST_BROKEN_STARTS:
                raise OutputError(
                    f"worker processes end before they are ready ({_how_it_ended(worker.process.exitcode)}); "
                    "check the memory of this machine, or use fewer --workers"
                )

    def _beyond_limits(self, worker: _Worker) -> Outcome | None:
        """The outcome of a case that took too long or too much memory; None while all is well."""
        if worker.case is None:
            return None
        limits, identity, seconds = self._limits, worker.case.identity, round(worker.seconds, 1)
        if limits.seconds is not None and worker.seconds > limits.seconds:
            text = f"stopped after {seconds:g} s; the limit is {limits.seconds:g} s (--timeout)"
            return Outcome(identity, "failed", TIMED_OUT, text, seconds=seconds)
        used = _resident_mb(worker.process.pid) if limits.memory_mb is not None else 0.0
        if limits.memory_mb is not None and used > limits.memory_mb:
            text = f"stopped at {used:.0f} MB; the limit is {limits.memory_mb:g} MB (--memory-limit)"
            return Outcome(identity, "failed", OVER_MEMORY, text, seconds=seconds)
        return None

    def _remove(self, worker: _Worker) -> None:
        """End a worker for good; another takes its place when there is work."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self._observer.stage(worker.number, "", "")

    def _stop(self) -> None:
        for worker in self._workers:
            if worker.case is None:
                _send(worker.pipe, None)
            else:
                worker.process.kill()
        for worker in list(self._workers):
            worker.process.join(5.0)
            self._remove(worker)


def _reports(pipe: Connection) -> Iterator[Report]:
    """What has come in; a message that was cut off by the end of its sender is dropped."""
    try:
        while pipe.poll():
            report = pipe.recv()
            assert isinstance(report, Report)
            yield report
    except (EOFError, OSError):
        return


def _send(pipe: Connection, case: Case | None) -> None:
    """Send, unless the worker has just died: then its end is noticed by its sentinel."""
    try:
        pipe.send(case)
    except OSError:
        return


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code}" + (", perhaps for lack of memory" if exit_code == -9 else "")
    return f"exit code {exit_code}"


def _resident_mb(pid: int | None) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1024**2
    except psutil.Error:
        return 0.0
