"""`groundglass train` for presets that classify slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from groundglass.cli.console import progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = ("macro F1", "macro AUROC", "COVID F1", "COVID AUROC", "COVID accuracy")


def train_classifier(
    name: str, data: Path, output: Path, *, changes: dict[str, Any], seed: int, as_json: bool, quiet: bool
) -> int:
    """Train a classifier preset and print its scores.

    Args:
        name: of the preset, or the path of its TOML file.
        data: folder of the data.
        output: folder of the run.
        changes: what differs from the preset; None keeps what it says.
        seed: source of chance.
        as_json: print the scores as JSON and nothing else.
        quiet: no progress.
    """
    from groundglass.training.classification.presets import load_classifier
    from groundglass.training.classification.run import train

    preset = load_classifier(name).model_copy(update={key: one for key, one in changes.items() if one is not None})
    with progress_bar(quiet or as_json) as progress:
        trained = train(preset, data, output, seed=seed, progress=progress)
    if as_json:
        print(json.dumps({"run": str(trained.folder), **trained.result}))
    else:
        show(score_table(trained.result))
        typer.echo(f"Run: {trained.folder}")
    return 0


def score_table(result: dict[str, Any]) -> Table:
    """Scores of validation and test with their intervals."""
    from rich.table import Table

    table = Table(title=f"{result['preset']} (95 % intervals by patient)", title_justify="left")
    parts = [part for part in ("val", "test") if part in result]
    for column in ("", *({"val": "validation", "test": "test"}[part] for part in parts)):
        table.add_column(column)
    for name in SHOWN:
        table.add_row(name, *(shown_score(result[part]["scores"][name]) for part in parts))
    return table


def shown_score(score: dict[str, Any]) -> str:
    """A score with its interval, for a table."""
    if score["value"] is None:
        return "not defined"
    interval = "" if score["interval"] is None else f" ({score['interval'][0]:.3f} to {score['interval'][1]:.3f})"
    return f"{score['value']:.3f}{interval}"
