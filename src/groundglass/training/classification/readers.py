"""Labelled slices from folders, tables and volumes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.io.tables import Row
from groundglass.training.classification.records import (
    ALLOWED,
    KNOWN_LABELS,
    KNOWN_PARTS,
    LabelledSlice,
    find_label,
    find_part,
    label_of,
    part_of,
)
from groundglass.training.classification.tables import complete_rows
from groundglass.training.classification.volumes import VOLUMES, read_volumes

IMAGES = "images.csv"
TABLES = (IMAGES, VOLUMES)
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
KNOWN_FOLDERS = {"luna_no_pneumonia": "Normal"}
"""Folders of one class; their own label says less than what is known of them."""
NAMED = 6
"""Folders that a message names."""


def read_table(table: Path, *, source: str | None = None) -> Iterator[LabelledSlice]:
    """Slices listed in a CSV file with the columns `file` and `label`, and perhaps `patient` and `split`.

    Args:
        table: the CSV file; `file` is relative to its folder.
        source: name of the data set; the folder's by default.

    Raises:
        DatasetError: a column, a label or a picture is missing, or a label or a part is not known.
    """
    name = source or table.absolute().parent.name
    for number, row in enumerate(complete_rows(table, "file", "label"), start=2):
        yield LabelledSlice(
            name=row["file"],
            source=name,
            patient=row.get("patient") or None,
            label=KNOWN_FOLDERS.get(name) or _label(row, table, number),
            split=_part(row, table, number),
            held=_found(table.parent / row["file"], table),
        )


def _label(row: Row, table: Path, number: int) -> str:
    try:
        return label_of(row["label"])
    except DatasetError as error:
        raise DatasetError(f"{table}, line {number}, label: {error}") from error


def _part(row: Row, table: Path, number: int) -> str:
    try:
        return part_of(row["split"]) if row.get("split") else ""
    except DatasetError as error:
        raise DatasetError(f"{table}, line {number}, split: {error}, or an empty one") from error


def _found(path: Path, table: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"there is no file {path}, which {table} lists; expected a picture")
    return path


def _read_scans(table: Path) -> Iterator[LabelledSlice]:
    """Slices of the scans in a table; what it calls the parts is checked before a scan is read."""
    for number, row in enumerate(complete_rows(table, "file", "label"), start=2):
        _part(row, table, number)
    for one in read_volumes(table, source=table.absolute().parent.name):
        yield replace(one, split=part_of(one.split)) if one.split else one


@dataclass(frozen=True)
class _Place:
    """What the names of the folders down to a picture say of it."""

    label: str | None = None
    split: str = ""
    patient: str | None = None


def read_folder(folder: Path, *, source: str | None = None) -> Iterator[LabelledSlice]:
    """Pictures in folders named after their class.

    Folders named after a part (`train`, `val`, `test`) may stand above or below. Any other folder below a class is a
    patient; one name is one patient, in every class.

    Raises:
        DatasetError: there is no such picture, or a folder with pictures beside known ones has no known name.
    """
    name, pictures = source or folder.absolute().name, list(_pictures(folder))
    places, seen = _places(folder, pictures), 0
    for path in pictures:
        place = places[path.parent]
        if place.label is not None:
            seen += 1
            yield LabelledSlice(str(path.relative_to(folder)), name, place.patient, place.label, place.split, path)
    if not seen:
        holding = list(dict.fromkeys(str(path.parent.relative_to(folder)) for path in pictures))
        more = f" and {len(holding) - NAMED} more" if len(holding) > NAMED else ""
        found = f"pictures in {', '.join(holding[:NAMED])}{more}" if holding else "no picture at all"
        raise DatasetError(
            f"no pictures in folders named after a class in {folder}; found {found}; expected folders named after "
            f"{KNOWN_LABELS}, a table images.csv with the columns file, label, patient, split, or one of scans, "
            "volumes.csv"
        )


def _pictures(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, folder by folder; hidden ones, such as a notebook's checkpoints, do not count."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in PICTURES and not name.startswith("."):
                yield Path(place, name)


def _places(folder: Path, pictures: Sequence[Path]) -> dict[Path, _Place]:
    """What the path of each folder with pictures below says, from the top down."""
    below: dict[Path, list[Path]] = defaultdict(list)
    holding = {path.parent for path in pictures}
    for path in sorted(holding.union(*(path.parents for path in holding))):
        if folder in path.parents:
            below[path.parent].append(path)
    places = {folder: _Place()}
    for outer, inside in below.items():
        places |= {path: _below(places[outer], path, inside) for path in inside}
    return places


def _below(outer: _Place, folder: Path, beside: Sequence[Path]) -> _Place:
    """What a folder adds to what the folders above it say; `beside` are its siblings and itself."""
    part, label = find_part(folder.name), find_label(folder.name)
    if part:
        return replace(outer, split=part)
    if outer.label is None:
        if label is None and (known := [one.name for one in beside if find_label(one.name) or find_part(one.name)]):
            raise DatasetError(
                f"{folder} holds pictures, but {folder.name!r} names no class and no part, as {known[0]!r} beside it "
                f"does; rename it or move it away; known classes: {KNOWN_LABELS}; known parts: {KNOWN_PARTS}"
            )
        return replace(outer, label=label)
    if label is None or not all(find_label(one.name) or find_part(one.name) for one in beside):
        return replace(outer, patient=outer.patient or folder.name)
    if any(inside > outside for inside, outside in zip(ALLOWED[label], ALLOWED[outer.label], strict=True)):
        raise DatasetError(
            f"{folder} names the class {label} within {outer.label}; expected one class, or a part of it"
        )
    return replace(outer, label=label)


def read_dataset(folder: Path) -> list[LabelledSlice]:
    """One data set: `images.csv` and `volumes.csv` where they are, else folders of classes.

    Raises:
        DatasetError: nothing of that is there, or it cannot be used.
        InputError: a scan cannot be read.
    """
    _require_folder(folder)
    if not _has_table(folder):
        return list(read_folder(folder))
    return [one for name in TABLES if (folder / name).is_file() for one in _listed(folder / name)]


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}; expected a data set of labelled slices: a folder, or its table")


def _listed(table: Path) -> Iterator[LabelledSlice]:
    if table.suffix.lower() != ".csv":
        raise DatasetError(f"{table} is a file; expected a folder of labelled slices, or a table such as {IMAGES}")
    return _read_scans(table) if table.name == VOLUMES else read_table(table)


def read_data(place: Path) -> list[LabelledSlice]:
    """A data set, or every data set in the folders of a folder.

    Args:
        place: the folder, or the table of a data set: a CSV file of pictures, or `volumes.csv`.

    Raises:
        DatasetError: there is no labelled picture, or a folder with pictures is no data set.
        InputError: a scan cannot be read.
    """
    if place.is_file():
        return list(_listed(place))
    _require_folder(place)
    if _has_table(place):
        return read_dataset(place)
    below = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    holding = [path for path in below if _has_table(path) or any(_pictures(path))]
    tables = [path for path in holding if _has_table(path)]
    if tables and all(find_part(path.name) for path in holding):
        return [one for path in holding for one in _as_part(path, place)]
    known = any(find_label(path.name) or find_part(path.name) for path in holding if path not in tables)
    if known or not any(path in tables or _has_classes(path) for path in holding):
        return list(read_folder(place))
    return [one for path in holding for one in read_dataset(path)]


def _has_table(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TABLES)


def _has_classes(folder: Path) -> bool:
    return any(find_label(name) for path in _pictures(folder) for name in path.relative_to(folder).parts[:-1])


def _as_part(folder: Path, whole: Path) -> Iterator[LabelledSlice]:
    """The slices of a data set that is one part of a larger one, such as `train` with a table of its own."""
    for one in read_dataset(folder):
        split, name = one.split or part_of(folder.name), f"{folder.name}/{one.name}"
        yield replace(one, split=split, name=name, source=whole.absolute().name)
