"""Writes an evaluation: tables, figures, page, and the record last, so that it marks a finished folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from groundglass.evaluation.collect import SCORE_COLUMNS, rounded
from groundglass.evaluation.figures import draw_all
from groundglass.evaluation.page import render_page
from groundglass.evaluation.records import Evaluation, VolumeScore
from groundglass.io.write import atomic_write_bytes, writing

RECORD, PAGE, VOLUMES, FIGURES, PANELS = "evaluation.json", "evaluation.html", "volumes.csv", "figures", "panels"
VOLUME_COLUMNS = ("volume", "patient", "fold", "slices", "structure", "threshold", "learned_from")
AMOUNT_COLUMNS = ("truth_ml", "predicted_ml", "volume_error_ml", "volume_error_percent")


def save(record: Evaluation, folder: Path) -> None:
    """Write everything into a folder.

    Args:
        record: the evaluation.
        folder: an existing folder; `panels/` in it holds the pictures of the volumes, where there are any.

    Raises:
        OutputError: it cannot be written.
    """
    drawings = draw_all(record)
    with writing(folder):
        (folder / RECORD).unlink(missing_ok=True)
        (folder / FIGURES).mkdir(exist_ok=True)
    for drawing in drawings.values():
        atomic_write_bytes(folder / FIGURES / f"{drawing.name}.png", drawing.png)
        atomic_write_bytes(folder / FIGURES / f"{drawing.name}.svg", drawing.svg)
    atomic_write_bytes(folder / VOLUMES, volume_table(record.volumes).encode())
    atomic_write_bytes(folder / PAGE, render_page(record, drawings, folder / PANELS).encode())
    atomic_write_bytes(folder / RECORD, (to_json(record) + "\n").encode())


def to_json(record: Evaluation) -> str:
    """The record as JSON without histograms and slices: the curves and `slices.csv` say the same."""
    return record.model_dump_json(
        indent=2,
        exclude={
            "volumes": {
                "__all__": {
                    "structures": {"__all__": {"histogram": True, "by_slice": True}},
                    "involvement": {"by_probability": True},
                }
            }
        },
    )


def volume_table(volumes: list[VolumeScore]) -> str:
    """One CSV row per volume and structure."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*VOLUME_COLUMNS, *SCORE_COLUMNS, *AMOUNT_COLUMNS, "true_involvement_percent", "involvement_percent"])
    for volume in volumes:
        share = volume.involvement
        shares = (share.truth_percent, share.predicted_percent) if share else (None, None)
        for one in volume.structures:
            keys = (
                volume.volume,
                volume.patient,
                volume.fold,
                volume.slices,
                one.structure,
                one.threshold,
                volume.learned_from,
            )
            scores = [getattr(one.scores, column) for column in SCORE_COLUMNS]
            amounts = [getattr(one, column) for column in AMOUNT_COLUMNS]
            rows.writerow([rounded(value) for value in (*keys, *scores, *amounts, *shares)])
    return text.getvalue()
