"""Labelled scans in the layouts of `groundglass train`: a list in a CSV file, and a folder per case."""

from __future__ import annotations

from pathlib import Path

from groundglass.errors import UnreadableFileError
from groundglass.evaluation.cases import LabelledCase
from groundglass.io.options import case_name
from groundglass.io.tables import read_rows

SCAN_TABLES = ("scans.csv", "cases.csv")
SCAN_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha")
STRUCTURES = ("lungs", "infection")
_NAMES = {
    "ct": ("ct", "scan", "image", "volume"),
    "lungs": ("lungs", "lung", "lung_mask"),
    "infection": ("infection", "infection_mask", "lesion"),
}


def listed_scans(table: Path) -> tuple[LabelledCase, ...]:
    """Scans of a CSV file: `ct`, `patient`, `lungs` and/or `infection`; perhaps `name` and `fold`.

    Paths are relative to the file; `ct` may be a DICOM folder.

    Raises:
        UnreadableFileError: a row without scan, patient or label map, a fold that is no number, or a name twice.
    """
    cases = [_listed(row, table, number) for number, row in enumerate(read_rows(table), start=2)]
    if not cases:
        raise UnreadableFileError(f"{table} has no row; expected the columns ct, patient, lungs and/or infection")
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise UnreadableFileError(f"{table}: two scans are called {name}; expected each name once")
    return tuple(sorted(cases, key=lambda case: case.name))


def case_folders(folder: Path) -> tuple[LabelledCase, ...]:
    """Scans that lie in a folder each, with their label maps; the folder's name is the patient."""
    cases = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = {key: path for key, names in _NAMES.items() if (path := _named(place, names)) is not None}
        image = files.pop("ct", None)
        if image is not None and files:
            truth = {name: (path,) for name, path in files.items()}
            cases.append(LabelledCase(place.name, place.name, "scan", (image,), truth))
    return tuple(cases)


def _listed(row: dict[str, str], table: Path, number: int) -> LabelledCase:
    files = {key: table.parent / row[key] for key in ("ct", *STRUCTURES) if row.get(key)}
    image = files.pop("ct", None)
    if image is None or not files or not row.get("patient"):
        raise UnreadableFileError(
            f"{table}, row {number}: 'ct', 'patient' or every label map is empty; expected ct, patient, and lungs or "
            "infection"
        )
    text = row.get("fold") or ""
    if text and not text.isdigit():
        raise UnreadableFileError(f"{table}, row {number}: the fold '{text}' is no number; expected 0, 1, ...")
    # The number of the row, as training counts them, where scans have no names.
    name = row.get("name") or f"{row['patient']}_{number - 2}"
    truth = {key: (path,) for key, path in files.items()}
    return LabelledCase(name, row["patient"], "scan", (image,), truth, int(text) if text else None)


def _named(folder: Path, names: tuple[str, ...]) -> Path | None:
    children = sorted(folder.iterdir())
    for name in names:
        for child in children:
            if case_name(child).lower() == name and (child.is_dir() or child.name.lower().endswith(SCAN_ENDINGS)):
                return child
    return None
