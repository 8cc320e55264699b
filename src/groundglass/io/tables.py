"""CSV tables that come with labelled data."""

from __future__ import annotations

import csv
from pathlib import Path

from groundglass.errors import UnreadableFileError

Row = dict[str, str]


def read_rows(table: Path) -> list[Row]:
    """The rows of a CSV file, without blanks around names and values; what a short row lacks is empty.

    Raises:
        UnreadableFileError: it is not a CSV file in UTF-8.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            return [
                {key.strip(): (value or "").strip() for key, value in row.items() if key}
                for row in csv.DictReader(handle)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFileError(
            f"{table} cannot be read as a table ({error}); expected a CSV file in UTF-8 with a line of column names"
        ) from error
