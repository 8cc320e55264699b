"""`groundglass batch`: many scans."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from groundglass.cli.analyze import Json, Model, Quiet
from groundglass.cli.console import show

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from groundglass.batch.engine import Observer
    from groundglass.batch.outcome import Outcome
    from groundglass.batch.run import BatchSummary

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUTS...",
        help=(
            "Files, folders (searched with everything below), quoted patterns ('scans/**/*.nii.gz'), DICOMDIR files, "
            "or CSV lists with a column `path` and perhaps `case`."
        ),
    ),
]


def command(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tables; gets one folder per case.")],
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=0, help="Scans at a time; 0 chooses by cores and memory.")
    ] = 0,
    engine: Annotated[str, typer.Option(help="`local` processes, or actors of a `ray` cluster.")] = "local",
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on where an earlier run ended, or forget it.")
    ] = True,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed cases of an earlier run again.")] = (
        False
    ),
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop a case that takes longer.")] = None,
    memory_limit: Annotated[
        float | None, typer.Option("--memory-limit", metavar="MB", help="Stop a case whose worker takes more memory.")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Name cases after a checksum, not after their file or folder.")
    ] = False,
    allow_irregular: Annotated[
        bool, typer.Option("--allow-irregular", help="Fill missing or uneven DICOM slices by interpolation.")
    ] = False,
    probability: Annotated[bool, typer.Option("--probability", help="Also write the infection probability.")] = False,
    infection_threshold: Annotated[
        float | None, typer.Option(help="Infection probability from which lung counts as infected.")
    ] = None,
    model: Model = "lungs-infection",
    store: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Put case folders there (`s3://...`) instead of into the output folder."),
    ] = "",
    address: Annotated[str, typer.Option(help="With --engine ray: the cluster; one on this machine when empty.")] = "",
    gpus: Annotated[float, typer.Option(min=0.0, help="With --engine ray: share of a GPU per worker.")] = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Analyze many scans: networks loaded once per worker, one row per case, failures listed, never lost.

    Writes OUT/results.csv (and results.parquet), OUT/cohort.html and OUT/CASE/ for each scan. May be stopped at any
    moment; the same command goes on where it ended. Exits with 1 when a case failed or has no usable numbers.
    """
    from groundglass.batch.engine import Limits
    from groundglass.batch.run import BatchOptions, run_batch
    from groundglass.options import AnalysisOptions

    options = BatchOptions(
        workers=workers,
        engine=_engine(engine),
        mode="resume" if resume else "restart",
        retry_failed=retry_failed,
        limits=Limits(timeout, memory_limit),
        anonymous=anonymous,
        store=store,
        address=address,
        gpus=gpus,
    )
    analysis = AnalysisOptions(
        allow_irregular=allow_irregular,
        probability=probability,
        model=model,
        infection_threshold=infection_threshold,
    )
    with _watching(quiet or as_json) as observer:
        summary = run_batch(inputs, output, options, observer, analysis=analysis)
    if as_json:
        print(json.dumps(_record(summary, output)))
    else:
        _show(summary, output)
    return 0 if summary.complete else 1


def _engine(name: str) -> Literal["local", "ray"]:
    if name == "local":
        return "local"
    if name == "ray":
        return "ray"
    raise typer.BadParameter(f"{name!r} is not an engine; expected local or ray", param_hint="--engine")


def _record(summary: BatchSummary, output: Path) -> dict[str, object]:
    failures = [
        {"case": entry.case.name, "status": entry.state, "kind": entry.outcome.kind, "reason": entry.outcome.reason}
        for entry in summary.failures
        if entry.outcome
    ]
    return {
        "output": str(output),
        "counts": summary.counts,
        "failures": failures,
        "left_out": summary.left_out,
        "parquet": summary.parquet,
    }


def _show(summary: BatchSummary, output: Path) -> None:
    counts = summary.counts
    parts = [f"{counts.get('done', 0)} measured"]
    parts += [f"{counts[state]} {state}" for state in ("unusable", "failed", "waiting") if counts.get(state)]
    if summary.failures:
        show(_failure_table(summary))
    typer.echo(f"{', '.join(parts)}; {len(summary.left_out)} series or pictures left out (listed in cohort.html)")
    typer.echo(f"Table: {output / 'results.csv'}")
    if not summary.parquet:
        typer.echo("results.parquet was not written: it needs pyarrow (pip install 'groundglass[batch]')", err=True)
    typer.echo(f"Report: {output / 'cohort.html'}")
    typer.echo("Not a medical device: for research and teaching only.")


def _failure_table(summary: BatchSummary, most: int = 20) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{len(summary.failures)} without usable numbers", title_justify="left", show_lines=True)
    for name, ratio in (("Case", 2), ("Kind", 2), ("Reason", 5)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for entry in summary.failures[:most]:
        if entry.outcome:
            table.add_row(*(Text(text) for text in (entry.case.name, entry.outcome.kind, entry.outcome.reason)))
    if len(summary.failures) > most:
        table.add_row("...", f"and {len(summary.failures) - most} more in results.csv", "")
    return table


@contextmanager
def _watching(quiet: bool) -> Iterator[Observer]:
    """What goes on, on stderr: a live display on a terminal, a line per case in a log, nothing when quiet."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    if quiet or not console.is_terminal:
        yield _Lines(console)
        return
    from groundglass.cli.batch_display import LiveDisplay

    with LiveDisplay(console) as display:
        yield display


class _Lines:
    """One line per finished case."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._ended = self._before = 0
        self._start = time.monotonic()

    def begin(self, total: int, ended: int) -> None:
        self._total, self._ended, self._before = total, ended, ended
        self._console.print(f"{total} cases, {ended} of them done before", highlight=False)

    def stage(self, worker: int, case: str, stage: str) -> None:
        pass

    def end(self, case: str, outcome: Outcome) -> None:
        self._ended += 1
        text = f"{self._ended}/{self._total} {case}: {outcome.status} ({outcome.seconds:.1f} s)"
        self._console.print(text + (f" {outcome.kind}" if outcome.kind else ""), highlight=False, markup=False)
