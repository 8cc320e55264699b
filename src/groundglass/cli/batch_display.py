"""The live display of a batch: how far, how fast, how long still, and what each worker does."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from groundglass.batch.outcome import Outcome


class LiveDisplay:
    """Draws itself anew a few times a second; told what goes on by the batch."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._render)
        self._total = self._before = self._ended = self._bad = 0
        self._first = 0.0
        self._workers: dict[int, tuple[str, str, float]] = {}

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, total: int, ended: int) -> None:
        """There are `total` cases, `ended` of them from an earlier run."""
        self._total, self._before, self._ended = total, ended, ended

    def stage(self, worker: int, case: str, stage: str) -> None:
        """A worker is at a stage of a case."""
        if not stage:
            self._workers.pop(worker, None)
            return
        known = self._workers.get(worker, ("", "", 0.0))
        since = known[2] if known[0] == case and case else time.monotonic()
        self._workers[worker] = (case, stage, since)
        if case and not self._first:
            self._first = time.monotonic()

    def end(self, case: str, outcome: Outcome) -> None:
        """A case has come to its end."""
        self._ended += 1
        self._bad += outcome.status != "done"
        if outcome.status != "done":
            self._live.console.print(Text(f"{case}: {outcome.status}, {outcome.kind}", style="yellow"))

    def _render(self) -> RenderableType:
        now = time.monotonic()
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(self._total, 1), completed=self._ended, width=40)
        head.add_row(
            bar, f"{self._ended}/{self._total}", rate_words(self._ended - self._before, self._left(), now - self._first)
        )
        table = Table.grid(padding=(0, 2))
        for number, (case, stage, since) in sorted(self._workers.items()):
            seconds = f"{now - since:.0f} s" if case else ""
            table.add_row(Text(f"worker {number}", style="dim"), Text(case, overflow="ellipsis"), stage, seconds)
        failed = [Text(f"{self._bad} without usable numbers", style="yellow")] if self._bad else []
        return Group(head, *failed, table)

    def _left(self) -> int:
        return self._total - self._ended


def rate_words(ended: int, left: int, seconds: float) -> str:
    """How fast and how long still, e.g. `840 cases/h, 12 min left`; `looking` before the first case has ended."""
    if not ended or seconds <= 0:
        return "starting" if left else ""
    remaining = left * seconds / ended
    words = (
        f"{remaining / 3600:.1f} h"
        if remaining >= 5400
        else f"{remaining / 60:.0f} min"
        if remaining >= 90
        else f"{remaining:.0f} s"
    )
    return f"{3600 * ended / seconds:.0f} cases/h, {words} left"
