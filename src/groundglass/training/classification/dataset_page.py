"""A page on a data set: counts, sizes, grey levels, mean picture per class, near twins, samples."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
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
TWINS_DRAWN = 6
ACROSS = 4
STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "^", "s", "x")
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:32px auto;padding:0 16px;color:#1c2733}"
    "table{border-collapse:collapse;margin:8px 0}td,th{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid "
    "#d9e0e6}td+td{font-variant-numeric:tabular-nums}.total td{font-weight:600}"
    "p{color:#4a5763;margin:4px 0 8px}img{max-width:100%}h2{margin-top:32px}"
)


def write_dataset_page(slices: Sequence[LabelledSlice], folder: Path) -> Path:
    """Writes `dataset.html`, one file that needs nothing else.

    Args:
        slices: the data.
        folder: where the page goes.
    """
    groups = grouped(slices)
    twins = find_twins(slices, slices)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Data set</title><style>{STYLE}</style>",
        f"<h1>Data set: {len(slices)} slices</h1>",
        "<h2>Counts</h2>" + _counts(slices),
        "<h2>Sizes</h2><p>Rows and columns of every slice.</p>",
        _figure(_draw_sizes(groups), "rows against columns of every slice, by class"),
        "<h2>Grey levels</h2><p>Share of the pixels of all slices. Where curves of one class differ between sources, a "
        "network can tell the source by the window alone.</p>",
        _figure(_draw_histograms(groups), "histogram of the grey levels, by class"),
        f"<h2>Mean pictures</h2><p>Mean of the slices at {SIDE} x {SIDE} pixels. What is sharp here is the same in all "
        "slices: a table, a frame, a crop.</p>",
        _figure(_draw_means(groups), "mean picture of each class"),
        "<h2>Samples</h2><p>Evenly spread over the slices of each class.</p>",
        _figure(_draw_samples(groups), "samples of each class"),
        "<h2>Nearly the same picture under different patients</h2>" + _twins(twins),
    ]
    page = folder / "dataset.html"
    atomic_write_bytes(page, "\n".join(parts).encode())
    return page


def grouped(slices: Sequence[LabelledSlice]) -> dict[str, list[LabelledSlice]]:
    """Slices by class, and by source where there are several: what the figures tell apart."""
    several = len({one.source for one in slices}) > 1
    groups: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        groups[f"{one.label}, {one.source}" if several else one.label].append(one)
    return dict(sorted(groups.items()))


def _counts(slices: Sequence[LabelledSlice]) -> str:
    groups: dict[tuple[str, str, str], list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        groups[one.source, one.split or "not given", one.label].append(one)
    head = "".join(f"<th>{name}" for name in ("source", "part", "class", "slices", "patients"))
    rows = [
        "<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in (*key, len(members), _people(members)))
        for key, members in sorted(groups.items())
    ]
    total = f"<tr class=total><td>all<td><td><td>{len(slices)}<td>{_people(slices)}"
    return f"<table><tr>{head}{''.join(rows)}{total}</table>"


def _people(slices: Sequence[LabelledSlice]) -> str:
    """Number of patients; a slice of an unknown one is not counted as a patient."""
    known = len({one.group for one in slices if one.patient})
    unknown = sum(not one.patient for one in slices)
    if not known:
        return "unknown"
    return f"{known}, and {unknown} slices of unknown ones" if unknown else str(known)


def _twins(twins: Sequence[Twin]) -> str:
    if not twins:
        return "<p>None.</p>"
    shown = twins[:TWINS_SHOWN]
    rows = "".join(f"<tr>{''.join(map(_named, twin.slices))}<td>{twin.bits}" for twin in shown)
    many = f"{len(twins)} pairs" + (f"; the first {len(shown)}" if len(shown) < len(twins) else "")
    told = (
        f"<p>{'One pair' if len(twins) == 1 else many}. They must not stand on both sides of a split. A slice of an "
        "unknown patient counts as a patient of its own.</p>"
    )
    picture = _figure(_draw_twins(shown[:TWINS_DRAWN]), "pairs of nearly the same picture")
    head = "<tr><th>source<th>slice<th>source<th>slice<th>bits of 256 that differ"
    return f"{told}{picture}<table>{head}{rows}</table>"


def _named(one: LabelledSlice) -> str:
    return f"<td>{escape(one.source)}<td>{escape(one.name)}"


def _draw_twins(twins: Sequence[Twin]) -> Any:  # noqa: ANN401
    size = (1.7 * len(twins), 3.8)
    figure, axes = plt.subplots(2, len(twins), figsize=size, layout="constrained", squeeze=False)
    for column, twin in zip(axes.T, twins, strict=True):
        for axis, one in zip(column, twin.slices, strict=True):
            axis.imshow(as_grey(one.image), cmap="gray", vmin=0, vmax=255)
            axis.set_title(f"{one.source[-22:]}\n{one.name.rsplit('/', 1)[-1][-22:]}", size=7)
            axis.axis("off")
    return figure


def _figure(figure: Any, words: str) -> str:  # noqa: ANN401 - the library has no types
    data = BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    return f"<img alt='{escape(words)}' src='data:image/png;base64,{b64encode(data.getvalue()).decode()}'>"


def _styles(groups: dict[str, list[LabelledSlice]]) -> list[tuple[str, int]]:
    """A colour per class and the number of a line or marker per source."""
    firsts = [members[0] for members in groups.values()]
    labels, sources = (list(dict.fromkeys(kind)) for kind in ([o.label for o in firsts], [o.source for o in firsts]))
    return [(f"C{labels.index(one.label)}", sources.index(one.source) % len(STYLES)) for one in firsts]


def _draw_sizes(groups: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for (name, members), (colour, number) in zip(groups.items(), _styles(groups), strict=True):
        sizes = np.array([one.image.shape for one in members])
        marker = MARKERS[number]
        axis.scatter(sizes[:, 1], sizes[:, 0], s=14, alpha=0.4, label=name, color=colour, marker=marker)
    axis.set(xlabel="columns, pixels", ylabel="rows, pixels", xlim=(0, None), ylim=(0, None), aspect="equal")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _draw_histograms(groups: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for (name, members), (colour, number) in zip(groups.items(), _styles(groups), strict=True):
        counts = np.sum([np.bincount(_small(one).ravel(), minlength=256) for one in members], axis=0)
        pooled = counts.reshape(64, 4).sum(axis=1)
        shares = 100 * pooled / pooled.sum()
        axis.step(np.arange(64) * 4 + 2, shares, where="mid", label=name, color=colour, ls=STYLES[number])
    axis.set(xlabel="grey level (0 black, 255 white)", ylabel="share of pixels, %", xlim=(0, 255), ylim=(0, None))
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _draw_means(groups: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    size = (2.5 * across, 2.9 * down)
    figure, axes = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (name, members) in zip(axes.ravel(), groups.items(), strict=False):
        total = sum((_small(one).astype(np.float64) for one in members), np.zeros((SIDE, SIDE)))
        axis.imshow(total / len(members), cmap="gray", vmin=0, vmax=255)
        label, _, source = name.partition(", ")
        axis.set_title(f"{label}\n{source} ({len(members)} slices)" if source else f"{name} ({len(members)})", size=9)
    return figure


def _draw_samples(groups: dict[str, list[LabelledSlice]]) -> Any:  # noqa: ANN401
    size = (1.5 * SAMPLES, 1.6 * len(groups))
    figure, axes = plt.subplots(len(groups), SAMPLES, figsize=size, layout="constrained", squeeze=False)
    for row, (name, members) in zip(axes, groups.items(), strict=True):
        places = np.linspace(0, len(members) - 1, min(SAMPLES, len(members))).astype(int)
        for axis in row:
            axis.axis("off")
        for axis, place in zip(row, places, strict=False):
            axis.imshow(as_grey(members[place].image), cmap="gray", vmin=0, vmax=255)
        row[0].set_title(name, size=9, loc="left")
    return figure


def _small(one: LabelledSlice) -> NDArray[np.uint8]:
    return np.asarray(resize(as_grey(one.image), SIDE, SIDE), np.uint8)
