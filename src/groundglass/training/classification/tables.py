"""CSV tables of labelled slices and scans: rows in which the columns that are needed are filled in."""

from __future__ import annotations

from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.io.tables import Row, read_rows


def complete_rows(table: Path, *needed: str) -> list[Row]:
    """The rows of a CSV file, in each of which the columns `needed` are filled in; others may be missing.

    Raises:
        DatasetError: there are no rows, or a column is missing or empty.
        UnreadableFileError: it is not a CSV file in UTF-8.
    """
    expected = f"expected the columns {', '.join(sorted(needed))}"
    rows = read_rows(table)
    if not rows or not set(needed) <= set(rows[0]):
        raise DatasetError(f"{table} has {', '.join(rows[0]) if rows else 'no rows'}; {expected}")
    if short := [number for number, row in enumerate(rows, start=2) if not all(row[name] for name in needed)]:
        raise DatasetError(f"{table}, line {short[0]}, has too few columns, or empty ones; {expected}")
    return rows
