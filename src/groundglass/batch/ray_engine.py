"""The batch on a Ray cluster: actors that hold the networks, one case at a time each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from groundglass.batch.cases import Case
from groundglass.batch.engine import CaseSource, Ended, Limits, Lost, Observer
from groundglass.batch.outcome import OVER_MEMORY, TIMED_OUT, Outcome
from groundglass.batch.work import Task, run_case
from groundglass.errors import GroundglassError, ModelError, OptionError, OutputError
from groundglass.settings import without_ray_telemetry

_TICK_SECONDS = 0.5
_MOST_BROKEN_STARTS = 3


class CaseWorker:
    """Body of an actor; `status` is answered while `run` is at work."""

    def __init__(self, task: Task) -> None:
        """Load the networks.

        Args:
            task: what to do with each case.
        """
        self._task = task
        self._stage = ""
        self._analyzer = task.analyzer()

    def ready(self) -> bool:
        """Answered once the networks are loaded."""
        return True

    def run(self, case: Case) -> Outcome:
        """Analyze one case."""
        return run_case(case, self._task, self._analyzer, self._progress)

    def status(self) -> tuple[str, float]:
        """The stage, and the resident memory of this process in MB."""
        import psutil

        return self._stage, float(psutil.Process().memory_info().rss) / 1024**2

    def _progress(self, stage: str, done: int, total: int) -> None:
        self._stage = stage


@dataclass(slots=True, eq=False)
class _Actor:
    """One actor and what it does.

    Attributes:
        number: from 1, for the display.
        handle: of the actor.
        pending: the answer that is awaited: of `ready` or of `run`.
        status: the answer of `status` that is awaited.
        case: under way; None while it starts or is idle.
        since: monotonic time at which the case was given.
    """

    number: int
    handle: Any
    pending: Any
    status: Any = None
    case: Case | None = None
    since: float = field(default_factory=time.monotonic)


class RayEngine:
    """Runs cases in actors of a Ray cluster."""

    def __init__(
        self, task: Task, workers: int, limits: Limits, observer: Observer, *, address: str = "", gpus: float = 0.0
    ) -> None:
        """Connect to the cluster, or start one on this machine.

        Args:
            task: what to do with each case; its paths must mean the same on every node.
            workers: actors.
            limits: of each case.
            observer: told what each actor does.
            address: of the cluster; empty starts one here.
            gpus: share of a GPU that each actor reserves.

        Raises:
            OptionError: Ray is not installed.
            OutputError: the cluster cannot be reached.
        """
        self._ray = _ray()
        self._task, self._count, self._limits, self._observer = task, workers, limits, observer
        self._started_here = not self._ray.is_initialized()
        _connect(self._ray, address, workers * max(1, task.settings.threads))
        options = {"num_cpus": max(1, task.settings.threads), "num_gpus": gpus, "max_concurrency": 2}
        self._class = self._ray.remote(CaseWorker).options(max_restarts=0, **options)
        self._actors: list[_Actor] = []
        self._broken_starts = 0

    def run(self, source: CaseSource) -> Iterator[Ended | Lost]:
        """Work until `source` has no case left and all are back; see `LocalEngine.run`."""
        try:
            while source.waiting() or any(actor.case for actor in self._actors):
                self._start_actors(source)
                pending = [actor.pending for actor in self._actors if actor.pending is not None]
                answered, _ = self._ray.wait(pending, num_returns=1, timeout=_TICK_SECONDS)
                for actor in list(self._actors):
                    if actor.pending in answered:
                        yield from self._answered(actor)
                    if actor in self._actors and actor.case is not None:
                        yield from self._watched(actor)
                    if actor in self._actors and actor.pending is None:
                        self._give(actor, source.next())
        finally:
            self._stop()

    def _start_actors(self, source: CaseSource) -> None:
        idle = sum(actor.case is None for actor in self._actors)
        while len(self._actors) < self._count and idle < source.waiting():
            taken = {actor.number for actor in self._actors}
            number = next(number for number in range(1, self._count + 1) if number not in taken)
            handle = self._class.remote(self._task)
            self._actors.append(_Actor(number, handle, handle.ready.remote()))
            self._observer.stage(number, "", "load network")
            idle += 1

    def _give(self, actor: _Actor, case: Case | None) -> None:
        if case is None:
            self._remove(actor)
            return
        actor.case, actor.since, actor.pending = case, time.monotonic(), actor.handle.run.remote(case)
        self._observer.stage(actor.number, case.name, "start")

    def _answered(self, actor: _Actor) -> Iterator[Ended | Lost]:
        try:
            answer = self._ray.get(actor.pending)
        except self._ray.exceptions.RayActorError as error:
            yield from self._died(actor, error)
            return
        actor.pending, self._broken_starts = None, 0
        if actor.case is not None:
            actor.case = None
            assert isinstance(answer, Outcome)
            yield Ended(answer)

    def _died(self, actor: _Actor, error: Exception) -> Iterator[Lost]:
        self._remove(actor)
        if actor.case is not None:
            yield Lost(actor.case, f"Ray actor gone: {type(error).__name__}")
            return
        cause = error.__cause__ or getattr(error, "cause", None)
        if isinstance(cause, GroundglassError):
            raise ModelError(str(cause))
        self._broken_starts += 1
        if self._broken_starts >= _MOST_BROKEN_STARTS:
            text = str(error).strip().splitlines()
            raise OutputError(
                f"Ray actors end before they are ready ({text[-1] if text else type(error).__name__}); "
                "check that groundglass is installed on every node, and the memory of the nodes"
            )

    def _watched(self, actor: _Actor) -> Iterator[Ended]:
        """End a case that takes too long or too much memory, and pass on its stage."""
        if actor.case is None:
            return
        seconds, identity, limits = time.monotonic() - actor.since, actor.case.identity, self._limits
        text, kind = "", ""
        if limits.seconds is not None and seconds > limits.seconds:
            text, kind = f"stopped after {seconds:.1f} s; the limit is {limits.seconds:g} s (--timeout)", TIMED_OUT
        used = self._polled(actor)
        if limits.memory_mb is not None and used > limits.memory_mb:
            text = f"stopped at {used:.0f} MB; the limit is {limits.memory_mb:g} MB (--memory-limit)"
            kind = OVER_MEMORY
        if kind:
            self._remove(actor)
            yield Ended(Outcome(identity, "failed", kind, text, seconds=round(seconds, 1)))

    def _polled(self, actor: _Actor) -> float:
        """The memory of an actor in MB as last told; 0 where nothing was told."""
        used = 0.0
        if actor.status is not None and self._ray.wait([actor.status], timeout=0)[0]:
            try:
                stage, used = self._ray.get(actor.status)
                self._observer.stage(actor.number, actor.case.name if actor.case else "", stage or "start")
            except self._ray.exceptions.RayActorError:
                return 0.0
            actor.status = None
        if actor.status is None:
            actor.status = actor.handle.status.remote()
        return float(used)

    def _remove(self, actor: _Actor) -> None:
        self._ray.kill(actor.handle)
        self._actors.remove(actor)
        self._observer.stage(actor.number, "", "")

    def _stop(self) -> None:
        for actor in list(self._actors):
            self._remove(actor)
        if self._started_here:
            self._ray.shutdown()


def _ray() -> ModuleType:
    without_ray_telemetry()
    try:
        import ray
    except ImportError:
        raise OptionError("--engine ray needs Ray; install groundglass[ray]") from None
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str, cpus: int) -> None:
    if ray.is_initialized():
        return
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(
                address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise OutputError(
            f"the Ray cluster {address or 'on this machine'} cannot be reached ({error}); check --address"
        ) from error
