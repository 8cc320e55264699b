"""`groundglass demo`: a synthetic chest CT with known truth, analyzed."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.analyze import Json, Quiet, number, show_result
from groundglass.cli.console import progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.phantom.compare import TruthComparison


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the scan and the results.")] = (
        Path("groundglass-demo")
    ),
    seed: Annotated[int, typer.Option(help="Another seed makes another patient.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a synthetic chest CT, analyze it and print the truth beside the result."""
    from groundglass.io.write import writing
    from groundglass.phantom import make_chest
    from groundglass.phantom.compare import compare_with_truth
    from groundglass.phantom.nifti import write_nifti as write_scan
    from groundglass.pipeline import analyze
    from groundglass.result import AnalysisResult

    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with progress_bar(quiet or as_json) as progress, tempfile.TemporaryDirectory(dir=output) as scratch:
        progress("synthetic scan", 0, 0)
        phantom = make_chest(seed=seed)
        scan = Path(scratch) / f"synthetic-chest-{seed}.nii.gz"
        write_scan(phantom.volume, scan, orientation="LPS")
        progress("synthetic scan", 1, 1)
        result = analyze(scan, progress=progress)
        assert isinstance(result, AnalysisResult)
        folder = result.save(output)
        scan.replace(output / scan.name)
    comparison = compare_with_truth(phantom, result.lungs, result.infection)
    if as_json:
        print(json.dumps({"truth": asdict(comparison), "analysis": json.loads(result.analysis.to_json())}))
        return 0
    show_result(result.analysis, folder)
    show(comparison_table(comparison))
    show(lesion_table(comparison))
    return 0


def comparison_table(comparison: TruthComparison) -> Table:
    """Truth beside result, with the overlap of the masks."""
    from rich.table import Table

    table = Table(title="Truth beside result", title_justify="left")
    for name in ("", "truth", "result", "Dice"):
        table.add_column(name, justify="right" if name else "left")
    rows = (
        ("Lungs (ml)", comparison.lung_ml, comparison.lungs_dice),
        ("Right lung (ml)", comparison.right_lung_ml, comparison.right_lung_dice),
        ("Left lung (ml)", comparison.left_lung_ml, comparison.left_lung_dice),
        ("Infection (ml)", comparison.infection_ml, comparison.infection_dice),
        ("Ground-glass (ml)", comparison.ground_glass_ml, None),
        ("Consolidation (ml)", comparison.consolidation_ml, None),
        ("Involvement (%)", comparison.involvement_percent, None),
        ("Involvement, right (%)", comparison.right_involvement_percent, None),
        ("Involvement, left (%)", comparison.left_involvement_percent, None),
    )
    for name, pair, dice in rows:
        shown = "" if dice is None else f"{dice:.3f}"
        table.add_row(name, number(pair.truth, 1), number(pair.result, 1), shown)
    return table


def lesion_table(comparison: TruthComparison) -> Table:
    """What became of each lesion."""
    from rich.table import Table

    table = Table(title="Lesions", title_justify="left")
    for name in ("where", "kind", "volume (ml)", "found (%)"):
        table.add_column(name, justify="right" if "(" in name else "left")
    for lesion in comparison.lesions:
        table.add_row(f"{lesion.side} {lesion.zone}", lesion.kind, f"{lesion.ml:.1f}", f"{100 * lesion.recall:.0f}")
    return table
