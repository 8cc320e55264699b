"""`groundglass analyze`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.console import findings_table, progress_bar, show, show_classification

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.analysis import Analysis

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="A scan (.nii, .nii.gz, .mha, .nrrd, DICOM folder, .zip or .dcm) or a PNG/JPG slice or a folder of them.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Series = Annotated[
    str | None,
    typer.Option("--series", help="DICOM series to take when there are several: its number in the list or UID end."),
]
Irregular = Annotated[
    bool, typer.Option("--allow-irregular", help="Fill missing or uneven slices by interpolation instead of refusing.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="PLACE",
        help="Network of your own: the folder of a finished training run, or an .onnx file with its card beside it. "
        "Lungs or infection that it does not find come from the shipped one.",
    ),
]


def command(
    scan: Input,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results; gets one folder per case.")
    ] = (Path("groundglass-results")),
    series: Series = None,
    allow_irregular: Irregular = False,
    probability: Annotated[bool, typer.Option("--probability", help="Also write the infection probability.")] = False,
    infection_threshold: Annotated[
        float | None, typer.Option(help="Infection probability from which lung counts as infected.")
    ] = None,
    model: Model = "lungs-infection",
    lobes: Annotated[
        Path | None,
        typer.Option(help="Lobe mask of the scan (TotalSegmentator or lungmask labels) for the lobe score, 0 to 25."),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option("--export", help="Also write other formats into OUT/CASE/export, e.g. dicom-seg,dicom-sr,stl."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Find lungs and infection in a scan and measure them.

    Writes OUT/CASE/ with lungs.nii.gz, infection.nii.gz, overlay.png, report.html and analysis.json. Exits with 3 when
    the result says that its numbers must not be used (no lungs were found, for example).
    """
    from groundglass.io.write import check_output_folder
    from groundglass.options import AnalysisOptions
    from groundglass.pipeline import analyze

    options = AnalysisOptions(
        series=series,
        allow_irregular=allow_irregular,
        probability=probability,
        model=model,
        infection_threshold=infection_threshold,
        lobes=lobes,
    )
    check_output_folder(output)
    targets = _targets(export, scan)
    with progress_bar(quiet or as_json) as progress:
        result = analyze(scan, options=options, progress=progress)
        progress("report", 0, 0)
        folder = result.save(output)
        if targets:
            progress("export", 0, 0)
            _export(folder, targets, scan, series)
    if as_json:
        print(result.analysis.to_json(), end="")
    else:
        show_result(result.analysis, folder)
    return exit_code(result.analysis)


def _targets(texts: list[str] | None, scan: Path) -> tuple[str, ...]:
    if not texts:
        return ()
    from groundglass.export.targets import parse_targets, require_exportable

    targets = parse_targets(texts)
    require_exportable(scan, targets)
    return targets


def _export(folder: Path, targets: tuple[str, ...], scan: Path, series: str | None) -> None:
    from groundglass.cli.export import write_table
    from groundglass.export.case import load_case
    from groundglass.export.targets import export_case

    export_case(load_case(folder), targets, folder / "export", source=scan, series=series, table=write_table)


def exit_code(analysis: Analysis) -> int:
    """0, or 3 when the numbers must not be used.

    For pictures that is when none of them shows lungs: one bad picture does not spoil a folder.
    """
    serious = [finding.code for finding in analysis.findings if finding.severity == "error"]
    if analysis.slices is not None:
        serious = [code for code in serious if code == "no-lungs"]
    if not serious:
        return 0
    typer.echo(f"Not usable: {', '.join(serious)}; see the findings.", err=True)
    return 3


def show_result(analysis: Analysis, folder: Path) -> None:
    """Print the summary table, the findings and where the files are."""
    show(summary_table(analysis))
    if analysis.classification is not None:
        show_classification(analysis.classification)
    if analysis.findings:
        show(findings_table(analysis.findings))
    typer.echo(f"Report: {folder / 'report.html'}")
    typer.echo("Not a medical device: for research and teaching only.")


def summary_table(analysis: Analysis) -> Table:
    """The main numbers, right lung, left lung and total."""
    from rich.table import Table
    from rich.text import Text

    numbers = analysis.measurements
    table = Table(title=Text(f"{analysis.case}"), title_justify="left")
    table.add_column("")
    for side in ("total", "right", "left"):
        table.add_column(side, justify="right")
    rows = (
        ("Lung volume (ml)", numbers.lung_volume_ml, 0),
        ("Infection volume (ml)", numbers.infection_volume_ml, 1),
        ("Involvement (%)", numbers.involvement_percent, 1),
    )
    for name, values, digits in rows:
        table.add_row(name, *(number(getattr(values, side), digits) for side in ("total", "right", "left")))
    table.add_row("Ground-glass (ml)", number(numbers.infection_volume_ml.ground_glass, 1), "", "")
    table.add_row("Consolidation (ml)", number(numbers.infection_volume_ml.consolidation, 1), "", "")
    table.add_row("Severity score (0-24)", number(numbers.zonal_severity_score, 0), "", "")
    table.add_row("Mean lung density (HU)", number(numbers.mean_lung_hu, 0), "", "")
    return table


def number(value: float | None, digits: int) -> str:
    """A figure for a table; `not known` for None."""
    return "not known" if value is None else f"{value:.{digits}f}"
