"""Folders of slices and masks as pictures, with a CSV file that says which slice is whose."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.io.tables import Row, read_rows
from groundglass.training.sample import CHANNELS, Sample
from groundglass.training.sources.volume import LabelledVolume, labelled_sample, read_mask, read_plane

TABLES = ("slices.csv", "images.csv", "pairs.csv", "cases.csv")
FILE_COLUMNS = ("file", "image", "slice")
IMAGE_FOLDERS = ("ct", "images", "image", "slices", "")
MASK_FOLDERS = {
    "lung": ("lung", "lungs", "lung_mask", "lung_masks"),
    "infection": ("infection", "infections", "infection_mask", "infection_masks"),
    "consolidation": ("consolidation", "consolidation_mask"),
}
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def picture_table(folder: Path) -> Path | None:
    """The CSV file of a folder of pictures; None if it has none."""
    for name in TABLES:
        if (folder / name).is_file() and _file_column(folder / name) is not None:
            return folder / name
    return None


def _file_column(table: Path) -> str | None:
    rows = read_rows(table)
    if not rows:
        return None
    column = next((name for name in FILE_COLUMNS if name in rows[0]), None)
    return column if column and rows[0][column].lower().endswith(PICTURES) else None


def picture_volumes(folder: Path) -> list[LabelledVolume]:
    """The volumes of a folder of pictures.

    The CSV file has the columns ``file`` and ``patient``, and may have ``volume``, ``fold`` and one column per
    channel with the mask's path. Without such a column a mask has its slice's name, in the channel's folder.

    Raises:
        DatasetError: Columns are missing, or a patient stands in two folds.
    """
    table = picture_table(folder)
    if table is None:
        raise DatasetError(f"{folder} has no {' or '.join(TABLES)} that names pictures in a column 'file'")
    rows = read_rows(table)
    if "patient" not in rows[0]:
        raise DatasetError(f"{table} has the columns {', '.join(rows[0])}; expected 'patient' among them")
    column = _file_column(table) or "file"
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.get("volume") or row["patient"]].append({**row, "file": row[column]})
    return [_volume(folder, table, name, members) for name, members in grouped.items()]


def fold_of(row: Row, table: Path) -> int | None:
    """The fold of a row; None where it names none.

    Raises:
        DatasetError: It is not a whole number.
    """
    text = row.get("fold", "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise DatasetError(f"{table} has the fold '{text}'; expected a whole number, or nothing") from None


def _volume(folder: Path, table: Path, name: str, rows: list[Row]) -> LabelledVolume:
    patients = {row["patient"] for row in rows}
    folds = {fold_of(row, table) for row in rows}
    if len(patients) > 1 or len(folds) > 1:
        raise DatasetError(
            f"{table}: volume '{name}' belongs to patients {sorted(patients)} and folds {sorted(map(str, folds))}; "
            "expected one patient and one fold"
        )
    files = [_paths(folder, row) for row in rows]

    def load() -> list[Sample]:
        return [_sample(paths, name) for paths in files]

    every = tuple(path for paths in files for path in paths.values())
    return LabelledVolume(name, patients.pop(), folds.pop(), "pictures", every, load)


def _paths(folder: Path, row: Row) -> dict[str, Path]:
    """Paths by ``image`` and channel."""
    image = next(
        (folder / name / row["file"] for name in IMAGE_FOLDERS if (folder / name / row["file"]).is_file()), None
    )
    if image is None:
        raise DatasetError(
            f"the slice {row['file']} is in none of {folder}/{{ct,images}} and {folder}; see its CSV file"
        )
    paths = {"image": image}
    for channel in CHANNELS:
        if row.get(channel):
            paths[channel] = folder / row[channel]
        elif (mask := _mask_of(folder, channel, Path(row["file"]))) is not None:
            paths[channel] = mask
    if len(paths) == 1:
        raise DatasetError(f"the slice {image} has no mask in {folder}/{{lung,infection}}; expected at least one")
    return paths


def _mask_of(folder: Path, channel: str, file: Path) -> Path | None:
    for name in MASK_FOLDERS[channel]:
        for suffix in (file.suffix, ".png"):
            path = (folder / name / file).with_suffix(suffix)
            if path.is_file():
                return path
    return None


def _sample(paths: dict[str, Path], group: str) -> Sample:
    image, kind = read_plane(paths["image"])
    masks = {index: read_mask(paths[name], image.shape) for index, name in enumerate(CHANNELS) if name in paths}
    return labelled_sample(paths["image"].name, group, image, kind, masks)
