"""The learning curve as a picture."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from groundglass.io.write import atomic_write_bytes
from groundglass.training.callbacks import Row

COLOURS = ("#0b6e99", "#c4561e", "#5d8a2d", "#7a4fa3")
PREFIX = "validation_dice_"


def draw_curve(rows: list[Row], path: Path, title: str) -> None:
    """Draws training loss and validation Dice of each channel against the step.

    Args:
        rows: The log, see `groundglass.training.callbacks.History`.
        path: PNG to write.
        title: Name of the run.

    Raises:
        OutputError: It cannot be written.
    """
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    marker = "o" if len(rows) < 30 else ""
    left.plot(steps, [row["loss"] for row in rows], color=COLOURS[0], marker=marker, markersize=3)
    left.set(title="Training loss", xlabel="step")
    left.set_ylim(bottom=0.0)
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name.startswith(PREFIX)]
    for name, colour in zip(names, COLOURS, strict=False):
        known = [(row["step"], row[name]) for row in rows if name in row]
        x, y = zip(*known, strict=True)
        label = f"{name.removeprefix(PREFIX)} {max(y):.3f}"
        right.plot(x, y, color=colour, marker=marker, markersize=3, label=label)
    right.set(title="Validation Dice, mean over volumes (best)", xlabel="step", ylim=(0.0, 1.0))
    if names:
        right.legend(frameon=False, loc="lower right")
    else:
        right.text(0.5, 0.5, "nothing was validated", ha="center", va="center", transform=right.transAxes)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.suptitle(title, fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    atomic_write_bytes(path, picture.getvalue())
