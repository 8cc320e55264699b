"""Labelled slices drawn from scans: a table of scans, and perhaps one of which of their slices are infected."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError
from groundglass.image.lung_view import as_grey
from groundglass.io.options import case_name
from groundglass.io.read import read_input
from groundglass.training.classification.records import LabelledSlice, label_of
from groundglass.training.classification.tables import complete_rows
from groundglass.volume import CTVolume

Grey = NDArray[np.uint8]
VOLUMES = "volumes.csv"
SLICE_LABELS = "slice_labels.csv"
NORMAL = "Normal"


def read_volumes(table: Path, *, source: str | None = None) -> Iterator[LabelledSlice]:
    """Axial slices of the scans in a table, as 8-bit grey through the lung window.

    Columns: `file` (anything that `groundglass` reads, relative to the table's folder) and `label`; perhaps `name`,
    `patient`, `split`, and `every`: 5 takes each fifth slice. Where a `slice_labels.csv` beside the table lists slices
    of a scan, its infected slices show what the scan's label says and the others are normal; otherwise all show it.

    Args:
        table: the CSV file.
        source: name of the data set; the folder's by default.

    Raises:
        DatasetError: a column, a label or a number is missing or wrong.
        InputError: a scan cannot be read.
    """
    folder = table.parent
    rows = complete_rows(table, "file", "label")
    labels = slice_labels(folder / SLICE_LABELS) if (folder / SLICE_LABELS).is_file() else {}
    names = [(row.get("name") or "").strip() or case_name(Path(row["file"])) for row in rows]
    if unknown := sorted(set(labels) - set(names)):
        raise DatasetError(
            f"{folder / SLICE_LABELS} has slices of {', '.join(unknown[:3])}; expected volumes of {table.name} "
            f"({', '.join(names[:3])}), by their column name or the name of the file"
        )
    for number, (name, row) in enumerate(zip(names, rows, strict=True), start=2):
        every = _whole(row.get("every") or "1", f"{table}, line {number}, every", least=1)
        patient, split = (row.get("patient") or "").strip() or name, (row.get("split") or "").strip()
        found = labelled_slices(folder / row["file"], row["label"], labels.get(name), every=every)
        heads, shown, images = zip(*((head, label, as_grey(image)) for head, label, image in found), strict=True)
        for head, label, image in zip(heads, shown, on_disk(np.stack(images)), strict=True):
            yield LabelledSlice(f"{name}[{head}]", source or folder.name, patient, label, split, image)


def on_disk(images: Grey) -> Grey:
    """The same slices in a nameless temporary file, mapped: memory does not grow with the number of scans."""
    with tempfile.TemporaryFile() as file:
        images.tofile(file)
        file.flush()
        return np.memmap(file, dtype=images.dtype, mode="r", shape=images.shape)


def slice_labels(table: Path) -> dict[str, set[int]]:
    """Numbers of the infected slices of each volume, from 0 at the head.

    Args:
        table: a CSV file with the columns `volume`, `slice_from_head` and `infected` (0 or 1).

    Raises:
        DatasetError: a column is missing, or a number is none.
    """
    infected: dict[str, set[int]] = defaultdict(set)
    for number, row in enumerate(complete_rows(table, "volume", "slice_from_head", "infected"), start=2):
        head, flag = (_whole(row[name], f"{table}, line {number}, {name}") for name in ("slice_from_head", "infected"))
        infected[row["volume"]].update({head} if flag else ())
    return dict(infected)


def labelled_slices(
    path: Path, label: str, infected: Collection[int] | None, *, every: int = 1
) -> Iterator[tuple[int, str, NDArray[np.generic]]]:
    """Axial slices of a scan in display orientation: number from 0 at the head, label, image.

    Args:
        path: any scan that `groundglass` reads.
        label: what its infected slices show, as `label_of` reads it.
        infected: numbers of the infected slices, counted from the head; all of them when None. The others are `Normal`.
        every: 5 takes each fifth slice.

    Yields:
        Images (rows, columns): int16 Hounsfield units, or uint8 grey.

    Raises:
        DatasetError: the file holds pictures, or an infected slice is beyond its last one.
    """
    volume, shown = read_input(path), label_of(label)
    if not isinstance(volume, CTVolume):
        raise DatasetError(f"{path} holds pictures; expected a scan")
    count = volume.geometry.shape[2]
    if infected is not None and (beyond := [head for head in infected if not 0 <= head < count]):
        raise DatasetError(f"{path} has {count} slices; slice {min(beyond)} is labelled, expected 0 to {count - 1}")
    for head in range(0, count, every):
        image = np.asarray(volume.axial(count - 1 - head))
        image = image.astype(np.int16) if volume.units == "HU" else np.clip(image, 0, 255).astype(np.uint8)
        yield head, shown if infected is None or head in infected else NORMAL, image


def _whole(text: str, where: str, *, least: int = 0) -> int:
    """A whole number of at least `least`; also written as 1.0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value >= least or value != int(value):
        raise DatasetError(f"{where}: found {text!r}; expected a whole number of {least} or more")
    return int(value)
