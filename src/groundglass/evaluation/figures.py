"""Figures of an evaluation, drawn once: as PNG and SVG files, and inside the page in the colours of its theme."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from groundglass.evaluation.involvement import widths
from groundglass.evaluation.records import Agreement, Evaluation, StructureSummary
from groundglass.evaluation.statistics import metric_of

INK, MUTED, LINE, CARD = "#14202b", "#51606d", "#dbe2e8", "#ffffff"
FIRST, SECOND, SOFT = "#0a6688", "#c8551c", "#9cc3d3"
THEME = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    CARD: "--card",
    FIRST: "--first",
    SECOND: "--second",
    SOFT: "--soft-first",
}
"""Every colour of a figure and the style sheet's name for it."""
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.facecolor": CARD,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "groundglass",
}
SIZE = (5.8, 3.5)


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: file name without ending.
        title: what it shows.
        words: the same in a sentence, for those who cannot see it.
        png: file content.
        svg: file content.
    """

    name: str
    title: str
    words: str
    png: bytes
    svg: bytes

    @property
    def inline(self) -> Markup:
        """The drawing inside a page, in the colours of the page's theme."""
        text = self.svg.decode()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
        # Clip paths and markers of several figures live in one page: their names must differ.
        text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{self.name}-", text)
        for colour, variable in THEME.items():
            text = text.replace(colour, f"var({variable})")
        return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{Markup.escape(self.words)}" ', 1))


def draw_all(record: Evaluation) -> dict[str, Drawing]:
    """Every figure of an evaluation by its name."""
    drawn: dict[str, Drawing] = {}
    for summary in record.structures:
        drawn |= {figure.name: figure for figure in structure_figures(record, summary)}
    if record.involvement is not None:
        for figure in involvement_figures(record, record.involvement):
            drawn[figure.name] = figure
    return drawn


def structure_figures(record: Evaluation, summary: StructureSummary) -> list[Drawing]:
    """The figures of one structure."""
    name = summary.structure
    key = re.sub(r"\W+", "-", name)
    counted = [one for one in record.volumes if not one.learned_from] or record.volumes
    dice = [value for one in counted if (value := metric_of(one, name, "dice")) is not None]
    figures = [
        _drawing(
            f"{key}-dice",
            f"Dice per volume, {name}",
            f"Dice of {len(dice)} volumes: median {np.median(dice):.3f}, lowest {min(dice):.3f}",
            lambda axes: _distribution(axes, dice),
        )
    ]
    if summary.curves is not None:
        figures += _curve_figures(key, summary)
    if summary.agreement is not None:
        figures.append(agreement_figure(f"{key}-agreement", summary.agreement, name.capitalize()))
    return figures


def _curve_figures(key: str, summary: StructureSummary) -> list[Drawing]:
    curves, name = summary.curves, summary.structure
    assert curves is not None
    best = curves.best_dice
    return [
        _drawing(
            f"{key}-threshold",
            f"Dice and IoU against the threshold, {name}",
            f"Highest mean Dice {best.value:.3f} at {best.threshold:.2f}",
            lambda axes: _against_threshold(axes, summary, {"Dice": curves.dice, "IoU": curves.iou}, mark=True),
        ),
        _drawing(
            f"{key}-precision-recall-threshold",
            f"Precision and recall against the threshold, {name}",
            "Precision rises and recall falls with the threshold",
            lambda axes: _against_threshold(
                axes, summary, {"precision": curves.precision, "recall": curves.recall}, mark=False
            ),
        ),
        _drawing(
            f"{key}-precision-recall",
            f"Precision against recall, {name}",
            f"Average precision {curves.average_precision:.3f}",
            lambda axes: _precision_recall(axes, summary),
        ),
    ]


def agreement_figure(name: str, agreement: Agreement, title: str) -> Drawing:
    """Bland-Altman plot."""
    words = f"Bias {agreement.bias:.3g} {agreement.unit}"
    if agreement.limits is not None:
        words += f", 95 % limits {agreement.limits.low:.3g} to {agreement.limits.high:.3g} {agreement.unit}"
    return _drawing(
        name, f"{title}, {agreement.quantity}: predicted minus true", words, lambda axes: _bland_altman(axes, agreement)
    )


def involvement_figures(record: Evaluation, agreement: Agreement) -> list[Drawing]:
    """Predicted against true involvement, with intervals where they could be fitted, and their Bland-Altman plot."""
    band = record.involvement_band
    ranges = widths(record.volumes, band) if band is not None else {}
    scatter = _drawing(
        "involvement-scatter",
        "Involvement, predicted against true" + (f", {band.coverage:.0%} interval" if band is not None else ""),
        "Points near the diagonal agree",
        lambda axes: _scatter(axes, agreement, ranges),
    )
    return [scatter, agreement_figure("involvement", agreement, "Lung")]


def _drawing(name: str, title: str, words: str, plot: Callable[[Axes], None]) -> Drawing:
    return drawing(name, title, words, lambda figure: plot(figure.add_subplot()))


def drawing(
    name: str, title: str, words: str, plot: Callable[[Figure], None], *, size: tuple[float, float] = SIZE
) -> Drawing:
    """Draw a figure in the style of the page.

    Args:
        name: file name without ending; different for every figure of a page.
        title: what it shows.
        words: the same in a sentence.
        plot: draws into an empty figure, in the colours of `THEME` alone.
        size: width and height in inches, of 150 pixels in the PNG.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        plot(figure)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=150)
        figure.set_layout_engine("none")  # what the first drawing laid out stays
        # No date: the same evaluation gives the same bytes.
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return Drawing(name, title, words, png.getvalue(), svg.getvalue())


def _distribution(axes: Axes, dice: list[float]) -> None:
    low = np.floor(10 * min(dice)) / 10 if min(dice) > 0.5 else 0.0
    bins = np.linspace(low, 1.0, 21)
    axes.hist(dice, bins=bins.tolist(), color=SOFT, edgecolor=CARD)
    top = max(float(np.histogram(dice, bins)[0].max()), 1.0)
    axes.boxplot(
        dice,
        orientation="horizontal",
        positions=[1.3 * top],
        widths=0.26 * top,
        showfliers=False,
        manage_ticks=False,
        medianprops={"color": SECOND, "linewidth": 2.0},
        boxprops={"color": FIRST},
        whiskerprops={"color": FIRST},
        capprops={"color": FIRST},
    )
    # Volumes as dots, moved up and down a little so that equal ones stay apart.
    shift = np.resize([0.0, 0.06, -0.06, 0.03, -0.03], len(dice)) * top
    axes.plot(np.sort(dice), 1.3 * top + shift, "o", color=FIRST, markersize=4, alpha=0.85)
    axes.set(xlim=(low, 1.005), ylim=(0, 1.55 * top), xlabel="Dice of a volume", ylabel="volumes")
    axes.set_yticks(np.arange(0, top + 1, max(1, round(top / 4))))
    axes.grid(visible=False, axis="x")


def _against_threshold(axes: Axes, summary: StructureSummary, lines: Mapping[str, list[float]], *, mark: bool) -> None:
    curves = summary.curves
    assert curves is not None
    for (label, values), colour in zip(lines.items(), (FIRST, SECOND), strict=True):
        axes.plot(curves.thresholds, values, color=colour, linewidth=2, label=label)
    if mark:
        for best, colour in ((curves.best_dice, FIRST), (curves.best_iou, SECOND)):
            axes.plot(best.threshold, best.value, "o", color=colour, markersize=7, markerfacecolor=CARD)
    if summary.threshold is not None:
        axes.axvline(summary.threshold, color=MUTED, linestyle="--", linewidth=1.2)
        right = summary.threshold < 0.75
        axes.annotate(
            f"used: {summary.threshold:.2f}",
            (summary.threshold, 0.02),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            color=MUTED,
            fontsize=9,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability from which a voxel counts", ylabel="mean over volumes")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _precision_recall(axes: Axes, summary: StructureSummary) -> None:
    curves = summary.curves
    assert curves is not None
    called = np.asarray(curves.pooled_recall) > 0
    recall, precision = np.asarray(curves.pooled_recall)[called], np.asarray(curves.pooled_precision)[called]
    recall, precision = np.append(recall, 0.0), np.append(precision, precision[-1:])
    axes.plot(recall, precision, color=FIRST, linewidth=2)
    axes.fill_between(recall, precision, color=SOFT, alpha=0.35, linewidth=0)
    if summary.threshold is not None:
        place = int(np.argmin(np.abs(np.asarray(curves.thresholds) - summary.threshold)))
        at = curves.pooled_recall[place], curves.pooled_precision[place]
        axes.plot(*at, "o", color=SECOND, markersize=7)
        axes.annotate(f"at {summary.threshold:.2f}", at, xytext=(-8, -14), textcoords="offset points", ha="right")
    axes.text(0.04, 0.06, f"average precision {curves.average_precision:.3f}", color=MUTED)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall, all voxels pooled", ylabel="precision")


def _scatter(axes: Axes, agreement: Agreement, ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, truth, predicted in zip(agreement.names, agreement.truth, agreement.predicted, strict=True):
        if name in ranges:
            axes.plot([truth, truth], ranges[name], color=SOFT, linewidth=3, solid_capstyle="round")
        axes.plot(truth, predicted, "o", color=FIRST, markersize=5.5, alpha=0.9)
    ends = [high for _, high in ranges.values()]
    top = 1.08 * max([*agreement.truth, *agreement.predicted, *ends, 1.0])
    axes.plot([0, top], [0, top], color=MUTED, linestyle="--", linewidth=1.2)
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="true involvement (%)", ylabel="predicted involvement (%)")


def _short(value: float) -> str:
    """A number in a plot: whole from 100 on, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _bland_altman(axes: Axes, agreement: Agreement) -> None:
    truth, predicted = np.asarray(agreement.truth), np.asarray(agreement.predicted)
    middle, difference = (truth + predicted) / 2, predicted - truth
    axes.axhline(0, color=LINE, linewidth=1.2)
    axes.plot(middle, difference, "o", color=FIRST, markersize=5.5, alpha=0.85)
    marks = [("bias", agreement.bias, "-")]
    if agreement.limits is not None:
        marks += [("+1.96 SD", agreement.limits.high, "--"), ("−1.96 SD", agreement.limits.low, "--")]
    for label, value, style in marks:
        axes.axhline(value, color=SECOND, linestyle=style, linewidth=1.4)
        axes.annotate(
            f"{label} {_short(value)}",
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=MUTED,
            fontsize=9,
        )
    axes.set(xlabel=f"mean of truth and prediction ({agreement.unit})", ylabel=f"prediction − truth ({agreement.unit})")
    axes.margins(x=0.06, y=0.18)
