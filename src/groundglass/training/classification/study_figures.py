"""Figures of a study: confusion matrices, ROC and precision-recall curves of the best run, training curves."""

from __future__ import annotations

import csv
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from groundglass.evaluation.classification import auroc
from groundglass.training.classification.learner import LOG
from groundglass.training.classification.run import read_log

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from groundglass.training.classification.study import Row

ACROSS = 4


def draw_study(rows: list[Row], folder: Path) -> None:
    """Draws `confusion.png`, `curves.png` and, of the run with the best validation F1, `roc.png`."""
    draw_confusions(rows, folder / "confusion.png")
    draw_training(rows, folder / "curves.png")
    draw_ranking(max(rows, key=lambda row: row.rank), folder / "roc.png")


def _panels(count: int, *, tall: float, wide: float) -> tuple[Any, list[Any]]:
    across = min(ACROSS, count)
    down = ceil(count / across)
    size = (wide * across, tall * down)
    figure, axes = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    flat = list(axes.ravel())
    for axis in flat[count:]:
        axis.axis("off")
    return figure, flat[:count]


def draw_confusions(rows: list[Row], path: Path) -> None:
    """A confusion matrix per run, of the test part where there is one: slices and shares of the true class."""
    figure, axes = _panels(len(rows), tall=3.0, wide=3.1)
    for row, axis in zip(rows, axes, strict=True):
        part = "test" if "test" in row.result else "val"
        if part not in row.result:
            axis.axis("off")
            continue
        counts = np.array(row.result[part]["confusion"], dtype=float)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _fill(axis, counts, shares)
        names = [name.replace("OtherPneumonia", "Other\npneumonia") for name in row.result["classes"]]
        axis.set_xticks(range(len(names)), names, size=7)
        told = [f"{name}\n({total:.0f})" for name, total in zip(names, counts.sum(axis=1), strict=True)]
        axis.set_yticks(range(len(names)), told, size=7)
        axis.set_title(f"{row.model}\n{row.stage}, {row.configuration} ({part})", size=8)
        axis.set_xlabel("answer", size=8)
        axis.set_ylabel("truth (slices)", size=8)
    _save(figure, path)


def _fill(axis: Any, counts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:  # noqa: ANN401
    for (i, j), count in np.ndenumerate(counts):
        if counts[i].any():
            colour = "white" if shares[i, j] > 0.6 else "black"
            axis.text(j, i, f"{count:.0f}\n{100 * shares[i, j]:.0f} %", ha="center", va="center", color=colour, size=8)
        elif j == len(counts) // 2:
            axis.text(
                (len(counts) - 1) / 2, i, "no slices of this class", ha="center", va="center", color="0.4", size=7
            )


def draw_training(rows: list[Row], path: Path) -> None:
    """Training and validation loss of every run.

    Raises:
        OptionError: a run's log is missing or damaged.
    """
    figure, axes = _panels(len(rows), tall=2.3, wide=3.1)
    for row, axis in zip(rows, axes, strict=True):
        log = read_log(row.folder / LOG)
        named = {
            "loss": "training, with the run's class weights or focal loss",
            "val_loss": "validation, cross-entropy",
        }
        for column, name in named.items():
            axis.plot(log["epoch"], log[column], marker=".", clip_on=False, label=name)
        axis.set_title(f"{row.model}\n{row.stage}, {row.configuration}", size=8)
        axis.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    _save(figure, path)


def read_predictions(path: Path) -> tuple[list[str], list[str], list[str], NDArray[np.float64]]:
    """Parts, true classes, class names and probabilities (slice, class) of a run's `predictions.csv`."""
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    names = rows[0][4:]
    shares = np.array([[float(value) for value in row[4:]] for row in rows[1:]]).reshape(-1, len(names))
    return [row[0] for row in rows[1:]], [row[3] for row in rows[1:]], names, shares


def draw_ranking(row: Row, path: Path) -> None:
    """ROC and precision-recall curve of each class against the rest, on the test part where there is one."""
    parts, truth, names, shares = read_predictions(row.folder / "predictions.csv")
    part = "test" if "test" in parts else "val"
    chosen = np.array([one == part for one in parts], dtype=bool)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.6), layout="constrained")
    for index, name in enumerate(names):
        positive = np.array([one == name for one in truth], dtype=bool)[chosen]
        if not positive.any() or positive.all():
            continue
        scores = shares[chosen, index]
        false, true, _ = roc_curve(positive, scores)
        precision, recall, _ = precision_recall_curve(positive, scores)
        many = f"{name}, {positive.sum()} of {positive.size} slices"
        left.plot(false, true, color=f"C{index}", label=f"{many}: area {auroc(positive.astype(int), scores):.3f}")
        average = average_precision_score(positive, scores)
        right.step(recall, precision, where="post", color=f"C{index}", label=f"{many}: average precision {average:.3f}")
        right.axhline(positive.mean(), color=f"C{index}", lw=1, ls=":")
    left.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--", label="chance")
    right.plot([], [], color="0.5", lw=1, ls=":", label="chance: share of the class")
    figure.suptitle(f"{row.model}, {row.stage}, {row.configuration} ({part}), each class against the others", size=10)
    left.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC", aspect="equal")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall", ylim=(-0.02, 1.02), aspect="equal")
    for axis in (left, right):
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axis.title.set_size(9)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - the library has no types
    figure.savefig(path, dpi=110)
    plt.close(figure)
