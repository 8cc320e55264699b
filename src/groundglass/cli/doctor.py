"""`groundglass doctor`: what is wrong with an input, without running a network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from groundglass.cli.analyze import Input, Irregular, Json, Series
from groundglass.cli.console import findings_table, show

if TYPE_CHECKING:
    from groundglass.pipeline import DoctorReport


def command(scan: Input, series: Series = None, allow_irregular: Irregular = False, as_json: Json = False) -> int:
    """Check an input and say in plain words what is wrong with it and what to do.

    Exits with 3 when a finding says that the input should not be analyzed.
    """
    from groundglass.options import AnalysisOptions
    from groundglass.pipeline import doctor

    report = doctor(scan, options=AnalysisOptions(series=series, allow_irregular=allow_irregular))
    if as_json:
        print(json.dumps(_as_dict(report), indent=2))
    else:
        _show(report)
    return 0 if report.usable else 3


def _as_dict(report: DoctorReport) -> dict[str, object]:
    return {
        "case": report.case,
        "usable": report.usable,
        "source": report.source.model_dump(),
        "findings": [finding.model_dump() for finding in report.findings],
    }


def _show(report: DoctorReport) -> None:
    source = report.source
    size = " x ".join(str(value) for value in source.shape)
    spacing = " x ".join(f"{value:.4g}" for value in source.spacing_mm) if source.spacing_mm else ""
    where = f", {spacing} mm, {source.orientation}" if spacing else ""
    typer.echo(f"{report.case}: {source.format}, {size}{where}, values: {source.units}")
    for name, value in source.details.items():
        typer.echo(f"  {name}: {value}")
    if report.findings:
        show(findings_table(report.findings))
    typer.echo("Nothing to complain about." if not report.findings else _verdict(report))


def _verdict(report: DoctorReport) -> str:
    return "Usable, with the remarks above." if report.usable else "Not usable as it is; see the errors above."
