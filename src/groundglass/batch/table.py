"""From analyses to one table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundglass.analysis import Analysis
from groundglass.batch.outcome import Value
from groundglass.io.write import atomic_file, atomic_write_bytes

Row = Mapping[str, Value]

LEADING = ("case", "status", "kind", "reason")
TRAILING = ("findings", "source_format", "source_shape", "source_spacing_mm", "groundglass", "model", "precision")
TIMING = ("seconds", "peak_memory_mb")
"""The only columns that differ from one run of a batch to another."""

_LEFT_OUT = {"hu_histogram", "low_hu", "high_hu"}


def measurement_row(analysis: Analysis) -> dict[str, Value]:
    """The numbers of one analysis: every measurement under its key in `analysis.json`, joined by `_`.

    Zones and density bands stand under their names (`zones_right_upper_percent`); the histogram is left out.
    """
    row: dict[str, Value] = dict(_flat(analysis.measurements.model_dump(), ""))
    if analysis.classification is not None:
        row |= dict(_flat(analysis.classification.model_dump(), "classification"))
    if analysis.slices is not None:
        row["pictures"] = len(analysis.slices)
    return row


def fact_row(analysis: Analysis) -> dict[str, Value]:
    """What was read and how it was analyzed."""
    source, run = analysis.source, analysis.run
    return {
        "findings": " ".join(finding.code for finding in analysis.findings),
        "source_format": source.format,
        "source_shape": "x".join(str(size) for size in source.shape),
        "source_spacing_mm": "x".join(f"{step:g}" for step in source.spacing_mm or ()),
        "groundglass": run.groundglass,
        "model": " ".join(model.name for model in run.models),
        "precision": run.precision,
        "peak_memory_mb": run.peak_memory_mb,
    }


def columns_of(rows: Iterable[Row]) -> list[str]:
    """All columns: who and how it went, the measurements in their order, facts, timing."""
    named = {*LEADING, *TRAILING, *TIMING}
    measured = dict.fromkeys(key for row in rows for key in row if key not in named)
    return [*LEADING, *measured, *TRAILING, *TIMING]


def write_csv(rows: Sequence[Row], path: Path, columns: Sequence[str] | None = None) -> None:
    """Write a table as CSV (UTF-8, commas, empty where unknown); complete or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns or columns_of(rows)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    atomic_write_bytes(path, text.getvalue().encode())


def write_parquet(rows: Sequence[Row], path: Path) -> bool:
    """Write a table as Parquet.

    Returns:
        False where pyarrow is not installed; nothing is written then.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return False
    columns = columns_of(rows)
    table = {name: _one_type([row.get(name) for row in rows]) for name in columns}
    with atomic_file(path) as file:
        parquet.write_table(pyarrow.table(table), file)
    return True


def _flat(value: Any, name: str) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - a record of any depth
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _LEFT_OUT:
                yield from _flat(item, f"{name}_{_slug(key)}" if name else key)
    elif isinstance(value, list):
        for place, item in enumerate(value, start=1):
            label = item.pop("name", None) if isinstance(item, dict) else None
            yield from _flat(item, f"{name}_{_slug(label or str(place))}")
    elif isinstance(value, bool):
        yield name, int(value)
    else:
        yield name, round(value, 4) if isinstance(value, float) else value


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower() if " " in text else text


def _harmless(value: Value) -> Value:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if isinstance(value, str) and value.startswith(("=", "+", "@", "\t")):
        return f"'{value}"
    return value


def _one_type(values: list[Value]) -> list[Value]:
    """Whole numbers become fractions where a column holds both."""
    if any(isinstance(value, str) for value in values):
        return [None if value is None else str(value) for value in values]
    if any(isinstance(value, float) for value in values):
        return [None if value is None else float(value) for value in values]
    return values
