"""What the CSV tables of labelled data have in common."""

from __future__ import annotations

from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.io.tables import Row


def fold_of(row: Row, table: Path) -> int | None:
    """The fold of a row; None where it names none.

    Raises:
        DatasetError: it is not a whole number.
    """
    text = row.get("fold", "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise DatasetError(f"{table} has the fold '{text}'; expected a whole number, or nothing") from None
