"""Labelled slices from folders, tables and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.training.classification.records import LabelledSlice, label_of
from groundglass.training.classification.tables import complete_rows
from groundglass.training.classification.volumes import VOLUMES, read_volumes

IMAGES = "images.csv"
TABLES = (IMAGES, VOLUMES)
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
KNOWN_FOLDERS = {"luna_no_pneumonia": "Normal"}
"""Folders of one class; their own label says less than what is known of them."""


def read_table(table: Path, *, source: str | None = None) -> Iterator[LabelledSlice]:
    """Slices listed in a CSV file with the columns `file` and `label`, and perhaps `patient` and `split`.

    Args:
        table: the CSV file; `file` is relative to its folder.
        source: name of the data set; the folder's by default.

    Raises:
        DatasetError: a column, a label or a picture is missing.
    """
    name = source or table.parent.name
    for row in complete_rows(table, "file", "label"):
        yield LabelledSlice(
            name=row["file"],
            source=name,
            patient=(row.get("patient") or "").strip() or None,
            label=KNOWN_FOLDERS.get(name) or label_of(row["label"]),
            split=(row.get("split") or "").strip(),
            held=_found(table.parent / row["file"], table),
        )


def _found(path: Path, table: Path) -> Path:
    if not path.is_file():
        raise DatasetError(f"there is no file {path}, which {table} lists; expected a picture")
    return path


def read_folder(folder: Path, *, source: str | None = None) -> Iterator[LabelledSlice]:
    """Pictures in folders named after their class, perhaps below folders `train`, `val` and `test`.

    Raises:
        DatasetError: there is none.
    """
    name, seen = source or folder.name, 0
    for place in sorted(path for path in folder.rglob("*") if path.is_dir() and _names_class(path)):
        split = place.parent.name if place.parent.name in {"train", "val", "test"} else ""
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in PICTURES:
                seen += 1
                file = str(path.relative_to(folder))
                yield LabelledSlice(file, name, None, label_of(place.name), split, path)
    if not seen:
        raise DatasetError(
            f"no pictures in folders named after a class in {folder}; expected for example COVID/ and NonCOVID/, "
            "a table images.csv with the columns file, label, patient, split, or one of scans, volumes.csv"
        )


def _names_class(path: Path) -> bool:
    try:
        label_of(path.name)
    except DatasetError:
        return False
    return True


def read_dataset(folder: Path) -> list[LabelledSlice]:
    """One data set: `images.csv` and `volumes.csv` where they are, else folders of classes.

    Raises:
        DatasetError: nothing of that is there, or it cannot be used.
        InputError: a scan cannot be read.
    """
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}; expected a data set of labelled slices")
    if not any((folder / name).is_file() for name in TABLES):
        return list(read_folder(folder))
    pictures = read_table(folder / IMAGES) if (folder / IMAGES).is_file() else ()
    scans = read_volumes(folder / VOLUMES) if (folder / VOLUMES).is_file() else ()
    return [*pictures, *scans]


def read_data(folder: Path) -> list[LabelledSlice]:
    """A data set, or every data set in the folders of a folder.

    Raises:
        DatasetError: there is no labelled picture.
        InputError: a scan cannot be read.
    """
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}; expected a data set of labelled slices")
    if _is_dataset(folder):
        return read_dataset(folder)
    parts = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    found = [one for part in parts if _is_dataset(part) for one in read_dataset(part)]
    return found or list(read_folder(folder))


def _is_dataset(folder: Path) -> bool:
    tables = any((folder / name).is_file() for name in TABLES)
    return tables or any(path.is_dir() and _names_class(path) for path in folder.iterdir())
