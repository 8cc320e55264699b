"""Time and memory against the number of slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Two charts side by side: CPU and wall seconds, and peak memory, for each kind of synthetic input."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for kind, colour in (("nifti", "#0a6688"), ("dicom", "#b4541a")):
        chosen = sorted((row for row in rows if row["input"] == kind), key=lambda row: row["slices"])
        slices = [row["slices"] for row in chosen]
        label = {"nifti": "NIfTI", "dicom": "DICOM"}[kind]
        time.plot(slices, [row["cpu_s"] for row in chosen], "o-", color=colour, label=f"{label}, CPU seconds")
        time.plot(slices, [row["wall_s"] for row in chosen], "o:", color=colour, alpha=0.6, label=f"{label}, wall")
        memory.plot(slices, [row["peak_mb"] for row in chosen], "o-", color=colour, label=label)
    for axes, name in ((time, "seconds"), (memory, "peak memory, MB")):
        axes.set(xlabel="slices of 512 x 512", ylabel=name, xlim=0, ylim=0)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
