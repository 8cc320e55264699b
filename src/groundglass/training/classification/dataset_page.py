"""A page on a data set: counts, sizes, grey levels, mean picture per class, near twins, samples."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt

from groundglass.image.lung_view import as_grey
from groundglass.image.prepare import resize
from groundglass.io.write import atomic_write_bytes
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.splits import Twin, find_twins

SIDE = 128
SAMPLES = 6
TWINS_SHOWN = 20
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:32px auto;padding:0 16px;color:#1c2733}"
    "table{border-collapse:collapse;margin:8px 0}td,th{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid "
    "#d9e0e6}td+td{font-variant-numeric:tabular-nums}img{max-width:100%}h2{margin-top:32px}"
)


def write_dataset_page(slices: Sequence[LabelledSlice], folder: Path) -> Path:
    """Writes `dataset.html`, one file that needs nothing else.

    Args:
        slices: the data.
        folder: where the page goes.
    """
    classes: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        classes[one.label].append(one)
    twins = find_twins(slices, slices)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Data set</title><style>{STYLE}</style>",
        f"<h1>Data set: {len(slices)} slices</h1>",
        "<h2>Counts</h2>" + _counts(slices),
        "<h2>Sizes</h2>" + _figure(_draw_sizes(classes)),
        "<h2>Grey levels</h2>" + _figure(_draw_histograms(classes)),
        "<h2>Mean picture of each class</h2>" + _figure(_draw_means(classes)),
        "<h2>Samples</h2>" + _figure(_draw_samples(classes)),
        "<h2>Nearly the same picture under different patients</h2>" + _twins(twins),
    ]
    page = folder / "dataset.html"
    atomic_write_bytes(page, "\n".join(parts).encode())
    return page


def _counts(slices: Sequence[LabelledSlice]) -> str:
    keys = Counter((one.source, one.split or "not given", one.label) for one in slices)
    patients = defaultdict[tuple[str, str, str], set[str]](set)
    for one in slices:
        if one.patient:
            patients[one.source, one.split or "not given", one.label].add(one.patient)
    head = "".join(f"<th>{name}" for name in ("source", "part", "class", "slices", "patients"))
    rows = [
        "<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in (*key, count, len(patients[key]) or "not known"))
        for key, count in sorted(keys.items())
    ]
    return f"<table><tr>{head}{''.join(rows)}</table>"


def _twins(twins: Sequence[Twin]) -> str:
    if not twins:
        return "<p>None.</p>"
    rows = "".join(f"<tr><td>{escape(t.first)}<td>{escape(t.second)}<td>{t.bits}" for t in twins[:TWINS_SHOWN])
    told = f"<p>{len(twins)} pairs; the first {min(len(twins), TWINS_SHOWN)}:</p>"
    return f"{told}<table><tr><th>slice<th>slice<th>bits of 256 that differ{rows}</table>"


def _figure(figure: Any) -> str:  # noqa: ANN401 - the library has no types
    data = BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    return f"<img alt='' src='data:image/png;base64,{b64encode(data.getvalue()).decode()}'>"


def _draw_sizes(classes: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, members in classes.items():
        sizes = np.array([one.image.shape for one in members])
        axis.scatter(sizes[:, 1], sizes[:, 0], s=12, alpha=0.5, label=name)
    axis.set(xlabel="columns", ylabel="rows", xlim=(0, None), ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def _draw_histograms(classes: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
    for name, members in classes.items():
        counts = np.sum([np.bincount(_small(one).ravel(), minlength=256) for one in members], axis=0)
        pooled = counts.reshape(64, 4).sum(axis=1)
        axis.step(np.arange(64) * 4, 100 * pooled / pooled.sum(), where="mid", label=name)
    axis.set(xlabel="grey level", ylabel="share of pixels, %", xlim=(0, 255), ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def _draw_means(classes: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    figure, axes = plt.subplots(1, len(classes), figsize=(2.6 * len(classes), 2.9), layout="constrained", squeeze=False)
    for axis, (name, members) in zip(axes[0], classes.items(), strict=True):
        axis.imshow(np.mean([_small(one) for one in members], axis=0), cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{name} ({len(members)})", size=9)
        axis.axis("off")
    return figure


def _draw_samples(classes: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    size = (1.5 * SAMPLES, 1.6 * len(classes))
    figure, axes = plt.subplots(len(classes), SAMPLES, figsize=size, layout="constrained", squeeze=False)
    for row, (name, members) in zip(axes, classes.items(), strict=True):
        places = np.linspace(0, len(members) - 1, min(SAMPLES, len(members))).astype(int)
        for axis in row:
            axis.axis("off")
        for axis, place in zip(row, places, strict=False):
            axis.imshow(as_grey(members[place].image), cmap="gray", vmin=0, vmax=255)
        row[0].set_title(name, size=9, loc="left")
    return figure


def _small(one: LabelledSlice) -> NDArray[np.uint8]:
    return np.asarray(resize(as_grey(one.image), SIDE, SIDE), np.uint8)
