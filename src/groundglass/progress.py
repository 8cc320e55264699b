"""Progress and timing of the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); `total` is 0 while it is unknown."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing: the progress callback of a library call."""


class StageClock:
    """Measures the wall seconds of each stage and announces the stages.

    Attributes:
        seconds: stage name -> wall seconds so far, in the order of the stages.
    """

    def __init__(self, progress: Progress = silent) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Time a stage; the value is a callback (done, total) for progress inside it."""
        self._progress(name, 0, 0)
        start = time.perf_counter()
        try:
            yield lambda done, total: self._progress(name, done, total)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self._progress(name, 1, 1)
