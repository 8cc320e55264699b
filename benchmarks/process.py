"""Running a command and asking the operating system what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PARTS = Path(__file__).parent / "parts.py"


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Attributes:
        wall_s: wall seconds.
        cpu_s: user and system seconds of all its threads.
        peak_mb: largest resident memory.
        load: the machine's load average of the last minute at the end: what else ran.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    load: float

    def record(self) -> dict[str, float]:
        """For the JSON file."""
        return {key: round(value, 2) for key, value in asdict(self).items()}


def run(command: Sequence[str]) -> tuple[Cost, str]:
    """Run a command.

    Returns:
        What it took and what it printed.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {process.returncode}")
    wall = time.perf_counter() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.getloadavg()[0]), printed


def best(command: Sequence[str], times: int) -> tuple[Cost, str]:
    """The run with the least CPU time of several: the one least disturbed."""
    return min((run(command) for _ in range(times)), key=lambda pair: pair[0].cpu_s)


def part(name: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run one part of the benchmark in a fresh process; see `parts.py`."""
    _, printed = run([python, str(PARTS), name, *arguments])
    answer: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return answer
