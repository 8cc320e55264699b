"""Labelled scans: a list in a CSV file, and a folder per case. Training and evaluation both read them here."""

from __future__ import annotations

from pathlib import Path

from groundglass.errors import DatasetError
from groundglass.evaluation.cases import LabelledCase
from groundglass.evaluation.tables import fold_of
from groundglass.io.options import case_name
from groundglass.io.tables import Row, read_rows

SCAN_TABLES = ("scans.csv", "cases.csv")
SCAN_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha")
MAPS = ("lungs", "infection", "both")
"""Columns of label maps; `both` shows the lungs (1, 2) and the infection (3)."""
_NAMES = {
    "ct": ("ct", "scan", "image", "volume"),
    "lungs": ("lungs", "lung", "lung_mask"),
    "infection": ("infection", "infection_mask", "lesion"),
}


def listed_scans(table: Path) -> list[LabelledCase]:
    """Scans of a CSV file in its order: `ct`, `patient`, `lungs`, `infection` and/or `both`.

    Paths are relative to the file; `ct` may be a DICOM folder. Optional are `name`, `fold`, and `trust_headers`, of
    which `no` means `LabelledCase.trust_headers` false. No file is looked for.

    Raises:
        DatasetError: no row, a row without scan, patient or label map, a fold that is no number, or a name twice.
    """
    cases = [_listed(row, table, number) for number, row in enumerate(read_rows(table), start=2)]
    if not cases:
        raise DatasetError(f"{table} has no row; expected the columns ct, patient, lungs and/or infection")
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f"{table}: two scans are called {name}; expected each name once")
    return cases


def case_folders(folder: Path) -> tuple[list[LabelledCase], tuple[str, ...]]:
    """Scans that lie in a folder each with their label maps, and the names of folders with a scan but no map.

    The folder's name is the patient.
    """
    cases, bare = [], []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = {key: path for key, names in _NAMES.items() if (path := _named(place, names)) is not None}
        if "ct" not in files:
            continue
        if len(files) > 1:
            cases.append(LabelledCase.of_scan(place.name, place.name, files))
        else:
            bare.append(place.name)
    return cases, tuple(bare)


def _listed(row: Row, table: Path, number: int) -> LabelledCase:
    files = {key: table.parent / row[key] for key in ("ct", *MAPS) if row.get(key)}
    if "ct" not in files or len(files) < 2 or not row.get("patient"):
        raise DatasetError(
            f"{table}, row {number}: 'ct', 'patient' or every label map is empty; expected ct, patient, and lungs or "
            "infection"
        )
    # The number of the row, where scans have no names.
    name = row.get("name") or f"{row['patient']}_{number - 2}"
    trusted = row.get("trust_headers", "").lower() not in ("no", "0", "false")
    return LabelledCase.of_scan(name, row["patient"], files, fold=fold_of(row, table), trust_headers=trusted)


def _named(folder: Path, names: tuple[str, ...]) -> Path | None:
    children = sorted(folder.iterdir())
    for name in names:
        for child in children:
            if case_name(child).lower() == name and (child.is_dir() or child.name.lower().endswith(SCAN_ENDINGS)):
                return child
    return None
