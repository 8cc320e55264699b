"""Writes an evaluation of a classifier: table, figures, page, and the record last: it marks a finished folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundglass.evaluation.classes.answers import Judged
from groundglass.evaluation.classes.figures import draw_classes
from groundglass.evaluation.classes.records import ClassifierEvaluation
from groundglass.evaluation.collect import rounded
from groundglass.evaluation.figures import Drawing
from groundglass.evaluation.page import environment, style
from groundglass.evaluation.results import PAGE, RECORD
from groundglass.io.write import atomic_write_bytes, writing

PREDICTIONS = "predictions.csv"
NAMES = {
    "AUPRC": "Average precision",
    "Brier": "Brier score",
    "ECE": "Expected calibration error",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "coverage": "Answered",
}
"""Names of scores in tables, where they differ from those in the record."""
OF_A_SOURCE = ("F1", "AUROC", "accuracy", "sensitivity", "specificity")


def save(record: ClassifierEvaluation, judged: Sequence[Judged], folder: Path) -> None:
    """Write everything into a folder.

    Args:
        record: the evaluation.
        judged: its slices with their answers.
        folder: an existing folder.

    Raises:
        OutputError: it cannot be written.
    """
    drawings = draw_classes(record)
    with writing(folder):
        (folder / RECORD).unlink(missing_ok=True)
    atomic_write_bytes(folder / PREDICTIONS, prediction_table(judged, record.classes).encode())
    for drawing in drawings.values():
        atomic_write_bytes(folder / f"{drawing.name}.png", drawing.png)
    atomic_write_bytes(folder / PAGE, render_page(record, drawings).encode())
    atomic_write_bytes(folder / RECORD, (record.model_dump_json(indent=2) + "\n").encode())


def prediction_table(judged: Sequence[Judged], classes: Sequence[str]) -> str:
    """One CSV row per slice; `answer` and `right` are empty where the classifier abstained."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["source", "name", "patient", "label", *classes, "answer", "abstained", "reasons", "right"])
    for one in judged:
        shown, said = one.slice, one.answer
        shares = [rounded(float(share)) for share in said.probabilities]
        abstained, right = int(said.label is None), "" if one.right is None else int(one.right)
        told = [said.label or "", abstained, " ".join(said.reasons), right]
        rows.writerow([shown.source, shown.name, shown.patient or "", shown.label, *shares, *told])
    return text.getvalue()


def render_page(record: ClassifierEvaluation, drawings: Mapping[str, Drawing]) -> str:
    """Write the page.

    Args:
        record: the evaluation; every text in it is escaped.
        drawings: its figures by name.

    Returns:
        A complete HTML page that loads nothing from anywhere.
    """
    page = environment().get_template("classifier.html.j2")
    return page.render(record=record, drawings=drawings, names=NAMES, of_a_source=OF_A_SOURCE, style=style())
