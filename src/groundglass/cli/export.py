"""`groundglass export`: a finished analysis in other formats."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.console import show
from groundglass.errors import OptionError

if TYPE_CHECKING:
    from groundglass.analysis import Analysis
    from groundglass.export.targets import Exported


def command(
    analysis: Annotated[
        Path,
        typer.Argument(metavar="ANALYSIS", help="Folder of a finished case (OUT/CASE); with --from seg, a file."),
    ],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            help="What to make, separated by commas: dicom-seg, dicom-sr, dicom-pdf, dicom-sc, pdf, nifti, seg-nrrd, "
            "stl, obj, glb, csv.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files; ANALYSIS/export if left out.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", help="The DICOM folder or ZIP that was analyzed; needed for DICOM.")
    ] = None,
    series: Annotated[
        str | None, typer.Option("--series", help="Series of the source, where several lie on the same grid.")
    ] = None,
    origin: Annotated[
        str, typer.Option("--from", help="analysis, or seg: a DICOM segmentation made by this program.")
    ] = "analysis",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list of files as JSON on stdout and nothing else.")
    ] = False,
) -> int:
    """Write a finished analysis as DICOM, PDF, masks, surfaces or a table.

    DICOM results join the study of the series that was analyzed: same patient, study and frame of reference, in series
    of their own. The series is found by its geometry; another one is refused. `export.json` in the output folder lists
    every file.
    """
    from groundglass.export.targets import parse_targets

    targets = parse_targets(to)
    if origin not in ("analysis", "seg"):
        raise OptionError(f"--from is {origin!r}; expected analysis or seg")
    if origin == "seg":
        written = _from_segmentation(analysis, targets, output)
    else:
        written = _from_analysis(analysis, targets, output, source, series)
    if as_json:
        print(json.dumps({"files": [{"target": item.target, "path": str(item.path)} for item in written]}))
    else:
        show_files(written)
    return 0


def _from_analysis(
    folder: Path, targets: tuple[str, ...], output: Path | None, source: Path | None, series: str | None
) -> list[Exported]:
    from groundglass.export.case import load_case
    from groundglass.export.targets import export_case

    case = load_case(folder)
    target = output or case.folder / "export"
    return export_case(case, targets, target, source=source, series=series, table=write_table)


def write_table(analysis: Analysis, path: Path) -> None:
    """Write one analysis as a table of one row, with the columns of `batch`."""
    from groundglass.batch.table import fact_row, measurement_row, write_csv

    row = {"case": analysis.case, **measurement_row(analysis), **fact_row(analysis)}
    write_csv([row], path, list(row))


def _from_segmentation(path: Path, targets: tuple[str, ...], output: Path | None) -> list[Exported]:
    from groundglass.export.dicom_seg import read_segmentation
    from groundglass.export.targets import export_segmentation

    lungs, infection = read_segmentation(path)
    target = output or path.with_name(f"{path.stem}-masks")
    return export_segmentation(lungs, infection, targets, target)


def show_files(written: list[Exported]) -> None:
    """Print the files by target, and the folder that they are in."""
    from rich.table import Table
    from rich.text import Text

    folder = Path(os.path.commonpath([item.path.parent for item in written]))
    table = Table(title="Exported", title_justify="left")
    table.add_column("target")
    table.add_column("files", overflow="fold")
    for target in dict.fromkeys(item.target for item in written):
        names = [item.path.relative_to(folder).as_posix() for item in written if item.target == target]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        table.add_row(target, Text(", ".join(names[:4]) + more))
    show(table)
    typer.echo(f"Folder: {folder}")
