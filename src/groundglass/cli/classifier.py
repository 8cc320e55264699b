"""`groundglass train` for presets that classify slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from groundglass.cli.console import progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

PARTS = "the table or the folders of the data say which slices are learned from, validated on and tested on"
NOT_FOR_CLASSIFIERS = {
    "folds": PARTS,
    "validation_folds": PARTS,
    "steps": "say how long with --epochs",
    "precision": "it takes bf16 where the processor has it",
    "start": "weights to start from are named by --set weights=FOLDER (of transformers), with --set pretrained=true",
    "freeze_encoder": "all of its weights learn",
    "devices": "it trains on one GPU, or on the processor",
    "nodes": "it trains on one computer",
    "threads": "set OMP_NUM_THREADS instead",
    "workers": "slices are prepared in a thread of their own",
    "cache": "slices are prepared in memory",
    "show_samples": "`groundglass explain SLICE --stages` draws the image stages",
}
"""Options of `train`, and what a classifier has instead."""
SHOWN = ("macro F1", "macro AUROC", "COVID F1", "COVID AUROC", "COVID accuracy")


def refuse_options(context: typer.Context) -> None:
    """Refuse options of `train` that a classifier knows nothing of.

    Raises:
        OptionError: such an option was given.
    """
    from groundglass.errors import OptionError

    for name, advice in NOT_FOR_CLASSIFIERS.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-").replace("folds", "fold")
            raise OptionError(f"{option} is for segmentation presets, and this one classifies slices; {advice}")


def train_classifier(
    name: str,
    data: Path,
    output: Path,
    *,
    changes: list[str],
    seed: int,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train a classifier preset and print its scores.

    Args:
        name: of the preset, or the path of its TOML file.
        data: folder of the data.
        output: folder of the run.
        changes: what differs from the preset, `key=value` each.
        seed: source of chance.
        resume: go on with the run in `output`; else it is trained anew.
        as_json: print the scores as JSON and nothing else.
        quiet: no progress.
    """
    from groundglass.cli.train import remarks
    from groundglass.training.classification.presets import load_classifier
    from groundglass.training.classification.run import train

    preset = load_classifier(name, changes)
    silent = quiet or as_json
    with remarks(silent), progress_bar(silent) as progress:
        trained = train(preset, data, output, seed=seed, resume=resume, progress=progress)
    if as_json:
        print(json.dumps({"run": str(trained.folder), **trained.result}))
    else:
        show(score_table(trained.result))
        if left_out := trained.result["near_twins_left_out"]:
            typer.echo(f"Left out: {left_out} slices nearly the same as slices of another part (twins.csv)")
        typer.echo(f"Run: {trained.folder}")
    return 0


def score_table(result: dict[str, Any]) -> Table:
    """Scores of validation and test with their intervals."""
    from rich.table import Table

    parts = [part for part in ("val", "test") if part in result]
    unknown = any(result.get("slices_without_patient", {}).get(part) for part in parts)
    told = f"95 % intervals by {'slice where the patient is unknown, else by patient' if unknown else 'patient'}"
    table = Table(title=f"{result['preset']} ({told if parts else 'nothing was validated'})", title_justify="left")
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
