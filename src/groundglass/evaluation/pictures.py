"""Folders of slices and masks as pictures, with a CSV file that says which slice is whose.

Training and evaluation both find them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.evaluation.cases import LabelledCase
from groundglass.evaluation.tables import fold_of
from groundglass.io.tables import Row, read_rows

TABLES = ("slices.csv", "images.csv", "pairs.csv", "cases.csv")
FILE_COLUMNS = ("file", "image", "slice")
IMAGE_FOLDERS = ("ct", "images", "image", "slices", "")
MASK_FOLDERS = {
    "lung": ("lung", "lungs", "lung_mask", "lung_masks"),
    "infection": ("infection", "infections", "infection_mask", "infection_masks"),
    "consolidation": ("consolidation", "consolidation_mask"),
}
STRUCTURES = {"lung": "lungs", "infection": "infection", "consolidation": "consolidation"}
"""Column of a mask -> key of `LabelledCase.truth`."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class DrawnSlice:
    """A slice and its masks.

    Attributes:
        image: its picture, which may be missing.
        masks: column (`lung`, `infection`, `consolidation`) -> mask; only those that are there.
    """

    image: Path
    masks: Mapping[str, Path]


@dataclass(frozen=True)
class DrawnVolume:
    """The slices of a volume in the order of the table."""

    name: str
    patient: str
    fold: int | None
    slices: tuple[DrawnSlice, ...]


def picture_table(folder: Path) -> Path | None:
    """The CSV file of a folder of pictures; None if it has none."""
    for name in TABLES:
        if (folder / name).is_file() and _file_column(folder / name) is not None:
            return folder / name
    return None


def drawn_volumes(folder: Path) -> list[DrawnVolume]:
    """The volumes of a folder of pictures, in the order of its table.

    The CSV file has the columns `file` and `patient`, and may have `volume` (else the patient's name stands for it),
    `fold` and a column per mask with its path. Without such a column a mask has its slice's name, in its own folder.

    Raises:
        DatasetError: columns are missing, or a volume has two patients or folds.
    """
    table = picture_table(folder)
    if table is None:
        raise DatasetError(f"{folder} has no {' or '.join(TABLES)} that names pictures in a column 'file'")
    rows = read_rows(table)
    if "patient" not in rows[0]:
        raise DatasetError(f"{table} has the columns {', '.join(rows[0])}; expected 'patient' among them")
    column = _file_column(table) or "file"
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.get("volume") or row["patient"], []).append({**row, "file": row[column]})
    return [_volume(folder, table, name, members) for name, members in grouped.items()]


def picture_cases(folder: Path) -> tuple[list[LabelledCase], tuple[str, ...]]:
    """The volumes as cases with the structures that are drawn in every slice, and what is left out for want of masks.

    Raises:
        DatasetError: see `drawn_volumes`.
    """
    cases, left_out = [], []
    for volume in drawn_volumes(folder):
        truth: dict[str, tuple[Path, ...]] = {}
        for column, structure in STRUCTURES.items():
            masks = tuple(one.masks[column] for one in volume.slices if column in one.masks)
            if len(masks) == len(volume.slices):
                truth[structure] = masks
            elif masks:
                left_out.append(f"{volume.name} ({structure} drawn in {len(masks)} of {len(volume.slices)} slices)")
        if truth:
            images = tuple(one.image for one in volume.slices)
            cases.append(LabelledCase(volume.name, volume.patient, "pictures", images, truth, volume.fold))
        elif not any(one.masks for one in volume.slices):
            left_out.append(volume.name)
    return cases, tuple(left_out)


def _file_column(table: Path) -> str | None:
    rows = read_rows(table)
    if not rows:
        return None
    column = next((name for name in FILE_COLUMNS if name in rows[0]), None)
    return column if column and rows[0][column].lower().endswith(PICTURES) else None


def _volume(folder: Path, table: Path, name: str, rows: list[Row]) -> DrawnVolume:
    patients = {row["patient"] for row in rows}
    folds = {fold_of(row, table) for row in rows}
    if len(patients) > 1 or len(folds) > 1:
        raise DatasetError(
            f"{table}: volume '{name}' belongs to patients {sorted(patients)} and folds {sorted(map(str, folds))}; "
            "expected one patient and one fold"
        )
    return DrawnVolume(name, patients.pop(), folds.pop(), tuple(_slice(folder, row) for row in rows))


def _slice(folder: Path, row: Row) -> DrawnSlice:
    places = [folder / name / row["file"] for name in IMAGE_FOLDERS]
    masks = {}
    for column in MASK_FOLDERS:
        if row.get(column):
            masks[column] = folder / row[column]
        elif (mask := _mask_of(folder, column, Path(row["file"]))) is not None:
            masks[column] = mask
    return DrawnSlice(next((path for path in places if path.is_file()), places[0]), masks)


def _mask_of(folder: Path, column: str, file: Path) -> Path | None:
    """The mask with its slice's name; None for an absolute path, which below any folder stands for the slice itself."""
    for name in () if file.is_absolute() else MASK_FOLDERS[column]:
        for suffix in (file.suffix, ".png"):
            path = (folder / name / file).with_suffix(suffix)
            if path.is_file():
                return path
    return None
