"""CSV tables of labelled data: rows with the columns that are needed."""

from __future__ import annotations

import csv
from pathlib import Path

from groundglass.errors import DatasetError


def read_rows(table: Path, *needed: str) -> list[dict[str, str]]:
    """The rows of a CSV file, in each of which the columns `needed` stand; others may be missing.

    Raises:
        DatasetError: there are no rows, or a column is missing.
    """
    expected = f"expected the columns {', '.join(sorted(needed))}"
    with table.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    if not rows or not set(needed) <= set(rows[0]):
        raise DatasetError(f"{table} has {', '.join(rows[0]) if rows else 'no rows'}; {expected}")
    if short := [number for number, row in enumerate(rows, start=2) if any(row[name] is None for name in needed)]:
        raise DatasetError(f"{table}, line {short[0]}, has too few columns; {expected}")
    return rows
