"""What became of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["done", "unusable", "failed"]
Value = str | int | float | None

TIMED_OUT = "TimeLimit"
OVER_MEMORY = "MemoryLimit"
WORKER_LOST = "WorkerLost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one case.

    Attributes:
        identity: of the case.
        status: `done`, `unusable` (there is a result that says its numbers must not be used) or `failed`.
        kind: what kind of failure: the name of the error, `TimeLimit`, `MemoryLimit`, `WorkerLost`, or the codes of
            the findings that forbid using the numbers; empty for `done`.
        reason: the failure in a sentence or two.
        row: measurements and facts of the case, column -> value.
        seconds: from the start of the case to its end.
    """

    identity: str
    status: Status
    kind: str = ""
    reason: str = ""
    row: Mapping[str, Value] = field(default_factory=dict)
    seconds: float = 0.0
