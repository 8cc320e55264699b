"""`groundglass compare`: change between scans of one patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import findings_table, progress_bar, show
from groundglass.errors import InputError, OptionError
from groundglass.progress import Progress

if TYPE_CHECKING:
    from groundglass.measure.compare import Comparison, FollowUp, TimePoint
    from groundglass.report.timeline import TimelineImages
    from groundglass.volume import CTVolume

_SHOWN = ("infected volume, total", "involvement, total", "ground-glass", "consolidation", "severity score")


@dataclass(frozen=True)
class _Loaded:
    """A scan to compare: its result, and the scan itself where it was analyzed just now."""

    point: TimePoint
    volume: CTVolume | None


def command(
    baseline: Annotated[
        Path, typer.Argument(metavar="BASELINE", help="The first scan, or the folder of its finished analysis.")
    ],
    followups: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLLOWUP...", help="Later scans of the same patient or their finished analyses, in order."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the comparison.")] = (
        Path("groundglass-comparison")
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare scans of one patient: volumes, involvement, zones, and where infection came and went.

    Each later scan is compared with the first one: its lungs are laid onto those of the baseline, and infection is new,
    persistent or resolved. Scans that are not analyzed yet are analyzed first, into OUTPUT. Writes comparison.json,
    timeline.html, and for each later scan change-N.nii.gz (1 new, 2 persistent, 3 resolved; on the baseline's grid) and
    change-N.png.
    """
    from groundglass.io.write import atomic_write_bytes, check_output_folder, writing

    check_output_folder(output)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with progress_bar(quiet or as_json) as progress:
        first, *later = [_load(path, output, progress) for path in (baseline, *followups)]
        comparison, images = _compare_all(first, later, output, progress)
    from groundglass.report.timeline import timeline_report

    text = comparison.model_dump_json(indent=2) + "\n"
    page = timeline_report(comparison, [one.point.analysis for one in (first, *later)], images)
    atomic_write_bytes(output / "timeline.html", page.encode())
    atomic_write_bytes(output / "comparison.json", text.encode())
    if as_json:
        print(text, end="")
        return 0
    for one in comparison.followups:
        _show(comparison.baseline, one)
    typer.echo(f"Report: {output / 'timeline.html'}")
    typer.echo("Not a medical device: for research and teaching only.")
    return 0


def _load(path: Path, output: Path, progress: Progress) -> _Loaded:
    from groundglass.export.case import load_case
    from groundglass.io.write import MARKER
    from groundglass.measure.compare import TimePoint

    if (path / MARKER).is_file() or path.name == MARKER:
        case = load_case(path)
        return _Loaded(TimePoint(case.analysis, case.lungs, case.infection), None)
    from groundglass.pipeline import analyze
    from groundglass.result import AnalysisResult

    result = analyze(path, progress=progress)
    if not isinstance(result, AnalysisResult):
        raise InputError(f"{path} holds pictures; a comparison needs scans, whose millimetres are known")
    result.save(output)
    return _Loaded(TimePoint(result.analysis, result.lungs, result.infection), result.volume)


def _compare_all(
    first: _Loaded, later: list[_Loaded], output: Path, progress: Progress
) -> tuple[Comparison, list[TimelineImages]]:
    from groundglass.io.write import atomic_write_bytes, write_nifti
    from groundglass.measure.compare import Comparison, compare
    from groundglass.report.timeline import TimelineImages, change_picture

    names = [one.point.analysis.case for one in (first, *later)]
    if len(set(names)) < len(names):
        raise OptionError(f"two scans have the same name ({', '.join(names)}); rename one of the folders or files")
    found, images = [], []
    for number, one in enumerate(later, start=1):
        progress("compare", number - 1, len(later))
        followup, change = compare(first.point, one.point)
        write_nifti(change, output / f"change-{number}.nii.gz")
        title = f"{followup.case} against {names[0]}"
        picture = change_picture(change, first.point.lungs, first.volume, title=title)
        atomic_write_bytes(output / f"change-{number}.png", picture)
        found.append(followup)
        images.append(TimelineImages(followup.case, picture))
    progress("compare", len(later), len(later))
    return Comparison(baseline=names[0], followups=found), images


def _show(baseline: str, one: FollowUp) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{one.case} against {baseline}"), title_justify="left")
    for name in ("", "baseline", "follow-up", "change"):
        table.add_column(name, justify="right" if name else "left")
    for item in one.differences:
        if item.name in _SHOWN:
            values = ("not known" if v is None else f"{v:.1f}" for v in (item.baseline, item.followup))
            change = "not known" if item.change is None else f"{item.change:+.1f}"
            table.add_row(f"{item.name.capitalize()} {f'({item.unit})' if item.unit else ''}", *values, change)
    show(table)
    amounts = one.change_map
    typer.echo(
        f"New {amounts.new_ml:.1f} ml, persistent {amounts.persistent_ml:.1f} ml, resolved {amounts.resolved_ml:.1f} ml"
    )
    if one.findings:
        show(findings_table(one.findings))
