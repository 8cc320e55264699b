"""What the terminal shows: progress on stderr, tables on stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from groundglass.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from groundglass.analysis import Classification
    from groundglass.finding import Finding
    from groundglass.training.classification.trained import RunClassification

SEVERITY_STYLE = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def errors_to(stream: TextIO) -> Console:
    """A console that writes to `stream`."""
    from rich.console import Console

    return Console(file=stream)


def show(table: Table) -> None:
    """Print a table on stdout."""
    from rich.console import Console

    Console().print(table)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """A progress callback that draws a line per stage on stderr; draws nothing when `quiet`.

    Without a terminal each finished stage is one plain line, so that a log file stays readable.
    """
    if quiet:
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (TextColumn("{task.description:<14}"), BarColumn(32), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report


def _plain_lines(console: Console) -> Progress:
    started: set[str] = set()

    def report(stage: str, done: int, total: int) -> None:
        if stage not in started:
            started.add(stage)
            console.print(f"{stage} ...", highlight=False)

    return report


def findings_table(findings: list[Finding]) -> Table:
    """Findings as a table: severity, what was seen, what to do."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Findings", title_justify="left", show_lines=True)
    table.add_column("Severity")
    table.add_column("What was seen", ratio=3)
    table.add_column("What to do", ratio=2)
    for finding in findings:
        severity = Text(finding.severity, style=SEVERITY_STYLE[finding.severity])
        table.add_row(severity, Text(f"{finding.text} ({finding.code})"), Text(finding.action))
    return table


def show_classification(said: Classification | RunClassification) -> None:
    """Print probabilities, the class, or why none is named."""
    from rich.console import Console

    shares = ", ".join(f"{name} {100 * value:.0f} %" for name, value in said.probabilities.items())
    told = "abstains" if said.meaningless else f"{said.label or 'abstains'} ({shares})"
    Console().print(f"Classification: {told}", highlight=False)
    for reason in said.reasons:
        Console().print(f"  {reason}", highlight=False)
