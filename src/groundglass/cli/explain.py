"""`groundglass explain`: what the classifier's answer rests on."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.analyze import Input, Json, Quiet
from groundglass.cli.console import progress_bar, show, show_classification

if TYPE_CHECKING:
    from groundglass.explain import Explanation


class HeatMaps(StrEnum):
    """How heat maps are made."""

    grad_cam = "grad-cam"
    grad_cam_plus_plus = "grad-cam++"


def command(
    scan: Input,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures; gets one folder per case.")
    ] = (Path("groundglass-explained")),
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            help="Show the evidence for COVID, OtherPneumonia, Normal, or a class of --model; the likeliest "
            "by default.",
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Also draw the five image stages of each slice that is shown.")
    ] = False,
    lungs: Annotated[
        str,
        typer.Option(
            "--lungs",
            metavar="network|classical|RUN",
            help="What finds the lungs of the image stages: the shipped network, thresholds and connectivity, or a "
            "network of your own, such as a run of lungs-bcdunet.",
        ),
    ] = "network",
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="RUN",
            help="Folder of a finished `train` run of a classifier preset, explained instead of the shipped one; "
            "needs groundglass[train].",
        ),
    ] = None,
    method: Annotated[
        HeatMaps, typer.Option("--method", help="How the heat maps are made; grad-cam++ with --model only.")
    ] = HeatMaps.grad_cam,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show on which pixels the classification rests.

    Writes for each slice that drove the answer the original, the heat map and both on top of each other, side by side,
    and explanation.json with the probabilities and the share of the attention that lies in the lungs. Needs no torch,
    unless --model names a network of your own.
    """
    from groundglass.explain import explain
    from groundglass.io.write import check_output_folder

    check_output_folder(output)
    with progress_bar(quiet or as_json) as progress:
        explanation = explain(scan, label=label, model=model, method=method.value, progress=progress)
        folder = explanation.save(output, stages=stages, lungs=lungs)
    if as_json:
        print(json.dumps(explanation.record(), indent=2))
    else:
        _show(explanation)
        typer.echo(f"Pictures: {folder}")
        typer.echo("Not a medical device: for research and teaching only.")
    return 0


def _show(explanation: Explanation) -> None:
    from rich.table import Table
    from rich.text import Text

    show_classification(explanation.classification)
    table = Table(title=f"Evidence for {explanation.label}", title_justify="left")
    for column in ("Slice", "Attention in the lungs"):
        table.add_column(column)
    for one in explanation.attention:
        share = "no evidence" if one.in_lungs is None else f"{100 * one.in_lungs:.0f} %"
        table.add_row(Text(one.title), share)
    show(table)
