"""`groundglass study`: classifiers compared on one data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import progress_bar


def command(
    grid: Annotated[Path, typer.Argument(metavar="GRID.toml", help="What to compare (see docs/classification.md).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study; goes on where it was.")] = (
        Path("groundglass-study")
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train and compare classifiers: models x image stages x (baseline, class weights, augmentation, both).

    Writes table.csv and table.md (F1 and AUROC, validation and test, with intervals by patient where patients are
    known), a confusion matrix per run, ROC and precision-recall curves of the best, training curves, and dataset.html
    on the data. Splits by patient.
    A study that was stopped goes on where it was.
    """
    from groundglass.cli.train import remarks, require_training

    require_training()
    from groundglass.io.write import check_output_folder
    from groundglass.training.classification.study import load_grid, markdown, study

    chosen = load_grid(grid)
    check_output_folder(output)
    silent = quiet or as_json
    with remarks(silent), progress_bar(silent) as progress:
        rows = study(chosen, output, progress=progress)
    if as_json:
        print(json.dumps([{"run": row.name, **row.result} for row in rows]))
    else:
        typer.echo(markdown(rows))
        typer.echo(f"Study: {output}")
    return 0
