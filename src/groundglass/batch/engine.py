"""What a batch and its engines have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from groundglass.batch.cases import Case
from groundglass.batch.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one case; None for no limit.

    Attributes:
        seconds: wall time.
        memory_mb: resident memory of the worker.
    """

    seconds: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A case has come to its end."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """A case lost its worker.

    Attributes:
        case: the case.
        how: what happened to the worker.
    """

    case: Case
    how: str


class Observer(Protocol):
    """Told what goes on."""

    def begin(self, total: int, ended: int) -> None:
        """There are `total` cases, `ended` of them from an earlier run."""

    def stage(self, worker: int, case: str, stage: str) -> None:
        """A worker (from 1) is at a stage of a case; no case while idle, no stage when it is gone."""

    def end(self, case: str, outcome: Outcome) -> None:
        """A case has come to its end."""


class CaseSource:
    """The cases that wait, given out one by one.

    Args:
        cases: first in line first.
        claim: called with each case before it is given out.
    """

    def __init__(self, cases: Iterable[Case], claim: Callable[[Case], None]) -> None:
        self._cases = deque(cases)
        self._claim = claim

    def next(self) -> Case | None:
        """The next case; None where none waits."""
        if not self._cases:
            return None
        case = self._cases.popleft()
        self._claim(case)
        return case

    def again(self, case: Case) -> None:
        """Put a case at the end of the line."""
        self._cases.append(case)

    def waiting(self) -> int:
        """How many cases wait."""
        return len(self._cases)


class Engine(Protocol):
    """Runs cases somewhere."""

    def run(self, source: CaseSource) -> Iterator[Ended | Lost]:
        """Work until `source` has no case left and all are back; see `LocalEngine.run`."""
