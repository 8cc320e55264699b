"""What the model card says of sources that a classifier never saw, taken from the matrix of sources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundglass.errors import DatasetError
from groundglass.models.catalog import CLASSIFIER, WEIGHTS, Metric, available, load_card

PREFIX = "unseen source "
RANKING = "COVID AUROC"
SCORES = {"AUROC": RANKING, "coverage": "coverage", "AUROC of those answered": f"{RANKING} of those answered"}
"""Scores of the matrix that the card repeats, and their names there."""


def unseen_entries(path: Path) -> tuple[Metric, ...]:
    """One entry per score and source of the runs that learned from everything else.

    Args:
        path: `matrix.json`.

    Raises:
        DatasetError: it is no such file, or has no run that left a source out.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        settings, cells = record["settings"], record["cells"]
        length = f" and {settings['steps']} steps" if settings["network"] == "lungs" else ""
        recipe = f"{settings['size']} pixels{length}"
        chosen = [cell for cell in cells if not cell["seen"] and not cell["run"].startswith("only-")]
        # A source that nothing learns from is unseen by every network; the one of all other sources counts.
        best = {cell["source"]: cell for cell in chosen if cell["run"] in ("all", f"without-{cell['source']}")}
        found = [_entry(cell, name, recipe) for cell in best.values() for name in SCORES]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} does not hold the matrix of sources ({type(error).__name__}: {error}); expected the matrix.json "
            "of python -m groundglass.training.classification.matrix"
        ) from error
    if not found:
        raise DatasetError(f"{path} has no run that left a source out; expected runs such as without-ucsd")
    return tuple(one for one in found if one is not None)


def _entry(cell: dict[str, Any], name: str, recipe: str) -> Metric | None:
    score = cell["scores"][name]
    if score["value"] is None:
        return None
    who = "patients unknown" if cell["patients"] is None else f"{cell['patients']} patients"
    interval = score["interval"]
    by = "slice" if cell["patients"] is None else "patient"
    spread = "" if interval is None else f"; 95 % by {by} {interval[0]:.3f} to {interval[1]:.3f}"
    protocol = f"a network of the same recipe at {recipe} that never saw the source; {cell['slices']} slices, {who}"
    return Metric(f"{PREFIX}{cell['title']}, {SCORES[name]}", round(score["value"], 4), protocol + spread, {})


def kept_entries(folder: Path) -> tuple[Metric, ...]:
    """The entries of the classifier's card in `folder`, else of the shipped one."""
    place = folder if CLASSIFIER in available(folder) else WEIGHTS
    return tuple(one for one in load_card(CLASSIFIER, place).metrics if one.name.startswith(PREFIX))


def unseen_limit(entries: Sequence[Metric]) -> str:
    """The limit that these entries set, in plain words."""
    ranked = [one.value for one in entries if one.name.endswith(f", {RANKING}")]
    if not ranked:
        return "How it does on pictures of a source that it never saw was not measured."
    low, high = f"{min(ranked):.2f}", f"{max(ranked):.2f}"
    span = low if low == high else f"{low} to {high}"
    return (
        f"On a source that it never saw it ranks COVID at an AUROC of {span}, where 0.5 is chance (see the metrics): "
        "sources differ in who counts as not having COVID, and in how pictures were made."
    )
