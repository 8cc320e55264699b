"""The part of the record that says how a result came about."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path

from groundglass import __version__
from groundglass.analysis import ModelRecord, RunRecord
from groundglass.options import AnalysisOptions

LIBRARIES = ("numpy", "scipy", "nibabel", "pydicom", "openvino", "opencv-python-headless")


def run_record(
    options: AnalysisOptions,
    seconds: Mapping[str, float],
    started: datetime,
    models: list[ModelRecord],
    precision: str,
) -> RunRecord:
    """Collect versions, options, seconds per stage and peak memory.

    Args:
        options: choices of the run.
        seconds: wall seconds per stage.
        started: time at which the run began, with its zone.
        models: networks that took part.
        precision: arithmetic of the segmentation, `int8`, `bf16` or `f32`.
    """
    return RunRecord(
        groundglass=__version__,
        models=models,
        options=dict(options.as_record()),
        seconds={stage: round(value, 3) for stage, value in seconds.items()},
        peak_memory_mb=round(peak_memory_mb(), 1),
        started=started.isoformat(timespec="seconds"),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        libraries={name: metadata.version(name) for name in LIBRARIES},
        precision=precision,
    )


def peak_memory_mb() -> float:
    """Highest resident memory of this process so far, in megabytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
