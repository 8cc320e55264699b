"""Lists of scans as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from groundglass.batch.cases import Case, suggested
from groundglass.batch.remote import is_remote
from groundglass.errors import UnreadableFileError
from groundglass.io.options import case_name

_PATH_COLUMNS = ("path", "scan", "input", "file")


def is_manifest(path: Path) -> bool:
    """Whether a file is a list of scans, by its name."""
    return path.suffix.lower() in {".csv", ".tsv"} and path.is_file()


def read_manifest(path: Path) -> Iterator[Case]:
    """The cases of a list.

    The list has a header line. The column `path` (or `scan`, `input`, `file`) says where a scan is, absolutely or from
    the folder of the list; a column `case` may name it. Other columns are left alone. A path that is not there becomes
    a failed case, so that no line of the list is lost.

    Args:
        path: CSV (commas or semicolons) or TSV, UTF-8.

    Raises:
        UnreadableFileError: no such column, an empty path, or not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{path.name}: the list cannot be read ({type(error).__name__}); expected a CSV file in UTF-8"
        ) from error
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = max("\t;,", key=first.count)
    rows = csv.DictReader(lines, delimiter=delimiter)
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    column = next((names[name] for name in _PATH_COLUMNS if name in names), None)
    if column is None:
        found = ", ".join(name for name in names if name) or "no header line"
        raise UnreadableFileError(f"{path.name}: no column `path` in the list (found: {found}); add one")
    for row in rows:
        place = (row[column] or "").strip()
        if not place:
            raise UnreadableFileError(f"{path.name}: line {rows.line_num} has no path; fill it in or delete the line")
        where = place if is_remote(place) else str((path.parent / Path(place).expanduser()).absolute())
        wanted = (row.get(names.get("case", ""), "") or "").strip()
        yield Case(where, suggestion=case_name(PurePosixPath(wanted)) if wanted else suggested(where))
