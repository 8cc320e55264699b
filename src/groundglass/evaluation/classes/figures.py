"""Figures of an evaluation of a classifier: confusion matrix, ROC and precision-recall curve, reliability."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from groundglass.evaluation.classes.records import ClassifierEvaluation, ConfusionRecord
from groundglass.evaluation.figures import CARD, FIRST, INK, MUTED, SECOND, SIZE, SOFT, Drawing, drawing

CELL = 0.8
"""Height of a cell of the confusion matrix, inches."""
TWO_PANELS = (9.6, 4.6)


def draw_classes(record: ClassifierEvaluation) -> dict[str, Drawing]:
    """The figures by name; curves are left out where all or none of the slices are COVID."""
    drawn = [_confusion_figure(record.confusion), _reliability_figure(record)]
    if record.curves.recall:
        drawn.append(_ranking_figure(record))
    return {one.name: one for one in drawn}


def _confusion_figure(confusion: ConfusionRecord) -> Drawing:
    told = "; ".join(
        f"of {sum(row)} slices labelled {label}: {', '.join(map(_counted, row, confusion.answers))}"
        for label, row in zip(confusion.labels, confusion.counts, strict=True)
    )
    size = (SIZE[0], 1.2 + CELL * len(confusion.labels))
    title = "Answers by label: slices, and their share of the label's"
    return drawing("confusion", title, told, lambda figure: _confusion(figure.add_subplot(), confusion), size=size)


def _counted(count: int, answer: str) -> str:
    return f"{count} {answer}"


def _confusion(axes: Axes, confusion: ConfusionRecord) -> None:
    for down, row in enumerate(confusion.counts):
        for along, count in enumerate(row):
            share = count / max(sum(row), 1)
            corner = along - 0.5, down - 0.5
            axes.add_patch(
                Rectangle(corner, 1, 1, facecolor=SOFT, edgecolor=CARD, linewidth=2, alpha=0.1 + 0.9 * share)
            )
            axes.text(along, down, f"{count}\n{share:.0%}", ha="center", va="center", color=INK)
    wide, tall = len(confusion.answers), len(confusion.labels)
    axes.set(xlim=(-0.5, wide - 0.5), ylim=(tall - 0.5, -0.5), xlabel="answer", ylabel="label (slices)")
    axes.set_xticks(range(wide), [_name(one) for one in confusion.answers])
    totals = zip(confusion.labels, confusion.counts, strict=True)
    axes.set_yticks(range(tall), [f"{_name(label)} ({sum(row)})" for label, row in totals])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _name(text: str) -> str:
    return text.replace("OtherPneumonia", "Other\npneumonia").replace("NonCOVID", "not COVID")


def _ranking_figure(record: ClassifierEvaluation) -> Drawing:
    area, average = record.covid.of("AUROC").value, record.covid.of("AUPRC").value
    words = f"COVID against the rest: area under the ROC curve {area:.3f}, average precision {average:.3f}"
    return drawing(
        "roc",
        "ROC, and precision against recall, of COVID",
        words,
        lambda figure: _ranking(figure, record),
        size=TWO_PANELS,
    )


def _ranking(figure: Figure, record: ClassifierEvaluation) -> None:
    left, right = figure.subplots(1, 2)
    curves, covid = record.curves, record.covid
    left.plot(curves.false_positive_rate, curves.true_positive_rate, color=FIRST, linewidth=2)
    left.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2)
    right.step(curves.recall, curves.precision, where="pre", color=FIRST, linewidth=2)
    right.axhline(covid.covid / covid.slices, color=MUTED, linestyle="--", linewidth=1.2)
    # What the tables speak of: the answers from a probability of one half.
    found, spared, sure = (covid.of(name).value for name in ("sensitivity", "specificity", "precision"))
    assert found is not None
    assert spared is not None
    left.plot(1 - spared, found, "o", color=SECOND, markersize=7)
    if sure is not None:
        right.plot(found, sure, "o", color=SECOND, markersize=7)
    left.text(0.98, 0.04, f"area {covid.of('AUROC').value:.3f}", ha="right", color=MUTED)
    right.text(0.02, 0.04, f"average precision {covid.of('AUPRC').value:.3f}", color=MUTED)
    left.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC, COVID against the rest")
    right.set(xlabel="recall", ylabel="precision", title="Precision and recall, COVID against the rest")
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.title.set_fontsize(10.5)


def _reliability_figure(record: ClassifierEvaluation) -> Drawing:
    error = record.covid.of("ECE").value
    words = f"Points on the diagonal are calibrated; expected calibration error {error:.3f}"
    return drawing(
        "calibration",
        "Reliability: share of COVID among slices of like probability",
        words,
        lambda figure: _reliability(figure.add_subplot(), record),
    )


def _reliability(axes: Axes, record: ClassifierEvaluation) -> None:
    bins = record.reliability
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2)
    most = max(one.slices for one in bins)
    axes.plot([one.probability for one in bins], [one.share for one in bins], color=FIRST, linewidth=1.2)
    for one in bins:
        size = 5 + 11 * (one.slices / most) ** 0.5
        axes.plot(one.probability, one.share, "o", color=FIRST, markersize=size)
        up = one.share >= one.probability  # away from the diagonal
        axes.annotate(
            str(one.slices),
            (one.probability, one.share),
            xytext=(0, 11 if up else -11),
            textcoords="offset points",
            ha="center",
            va="bottom" if up else "top",
            color=MUTED,
            fontsize=9,
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.12, 1.14), xlabel="probability of COVID", ylabel="share that is COVID")
