"""A worker process: loads the networks once, then takes case after case until told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Literal

from groundglass.batch.cases import Case
from groundglass.batch.outcome import Outcome
from groundglass.batch.work import Task, run_case
from groundglass.errors import GroundglassError


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells its parent.

    Attributes:
        what: `ready` (networks loaded), `broken` (they cannot be), `stage` (one begins), `end` (of a case).
        text: name of the stage, or what is broken.
        outcome: with `end`.
    """

    what: Literal["ready", "broken", "stage", "end"]
    text: str = ""
    outcome: Outcome | None = None


def work(pipe: Connection, task: Task) -> None:
    """Body of a worker process.

    Args:
        pipe: cases come in, None ends the work; reports go out.
        task: what to do with each case.
    """
    # Ctrl-C reaches the whole group: the parent decides. A worker without a parent must not go on writing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _quiet_libraries(task.settings.threads)
    try:
        analyzer = task.analyzer()
    except GroundglassError as error:
        pipe.send(Report("broken", str(error)))
        return
    pipe.send(Report("ready"))
    while (case := pipe.recv()) is not None:
        assert isinstance(case, Case)
        pipe.send(Report("end", outcome=run_case(case, task, analyzer, _stages(pipe))))


def _stages(pipe: Connection) -> Callable[[str, int, int], None]:
    """A progress callback that tells the parent of each new stage."""
    last = ""

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if stage != last:
            last = stage
            pipe.send(Report("stage", stage))

    return report


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _quiet_libraries(threads: int) -> None:
    """Keep OpenCV to the threads of this worker, so that workers do not crowd each other out."""
    import cv2

    cv2.setNumThreads(max(1, threads))
