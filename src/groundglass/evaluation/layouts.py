"""Labelled data as they lie on disk, found out from what is there.

- `slices.csv` beside `ct/`, `lung/`, `infection/`: pictures of slices; columns `file, volume, patient, fold`.
- `ct_scans/`, `lung_mask/`, `infection_mask/`: NIfTI volumes, the public 20-volume COVID-19 set as downloaded (names of
  the Kaggle and of the Zenodo copy).
- A CSV file: columns `image` and one or more of `lungs`, `infection`; optional `volume`, `patient`, `fold`,
  `spacing_mm` (rows, columns and slices, separated by blanks). Paths are relative to the CSV file.
- `scans.csv`, or a folder per case with `ct`, `lungs` and/or `infection`, as training reads them (`scans.py`).
- Any other folder: label maps alone, to be compared with predictions of the same file names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from groundglass.errors import InputNotFoundError, OptionError, UnreadableFileError, UnsupportedFormatError
from groundglass.evaluation.cases import CaseKind, LabelledCase, Spacing
from groundglass.evaluation.scans import SCAN_ENDINGS, SCAN_TABLES, case_folders, listed_scans
from groundglass.io.options import case_name
from groundglass.io.tables import read_rows

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
_FOLDERS = {
    "images": ("ct_scans", "COVID-19-CT-Seg_20cases"),
    "lungs": ("lung_mask", "Lung_Mask"),
    "infection": ("infection_mask", "Infection_Mask"),
}


@dataclass(frozen=True)
class LabelledData:
    """A set of labelled volumes.

    Attributes:
        name: name of the folder or file.
        layout: how it lies on disk.
        cases: the volumes, by name.
        folders: structure -> name of the folder that its masks lie in, for finding predictions laid out alike.
    """

    name: str
    layout: str
    cases: tuple[LabelledCase, ...]
    folders: dict[str, str]

    def of_folds(self, folds: Iterable[int] | None) -> LabelledData:
        """The volumes of some folds; all of them when None.

        Raises:
            OptionError: the data have no such fold.
        """
        if folds is None:
            return self
        wanted, known = set(folds), {case.fold for case in self.cases if case.fold is not None}
        if missing := wanted - known:
            have = ", ".join(str(fold) for fold in sorted(known)) or "none"
            raise OptionError(f"{self.name} has no fold {min(missing)}; its folds: {have}")
        return LabelledData(
            self.name, self.layout, tuple(case for case in self.cases if case.fold in wanted), self.folders
        )

    def of_patients_in(self, names: Iterable[str]) -> set[str]:
        """Names of the volumes whose patient also has one of the named volumes."""
        named = set(names)
        patients = {volume_patient(name) for name in named}
        patients |= {case.patient for case in self.cases if case.name in named}
        return {case.name for case in self.cases if {case.patient, volume_patient(case.name)} & patients}

    @property
    def patients(self) -> set[str]:
        """Everyone whose volumes are here."""
        return {case.patient for case in self.cases}


def read_data(path: Path, *, structure: str = "infection") -> LabelledData:
    """Find the labelled volumes of a folder or CSV file; no image is read yet.

    Args:
        path: folder or CSV file.
        structure: what the label maps of a plain folder show.

    Raises:
        InputNotFoundError: nothing there.
        UnreadableFileError: a table that cannot be understood.
        UnsupportedFormatError: a folder without labelled data.
    """
    if not path.exists():
        raise InputNotFoundError(f"{path} does not exist; expected a folder or a CSV file of labelled data")
    if path.is_file():
        return _from_scans(path) if path.name in SCAN_TABLES else _from_table(path)
    for folder in (path, path / "covid20"):
        if (folder / "slices.csv").is_file():
            return _from_slices(folder)
    if _subfolder(path, "images") is not None:
        return _from_volumes(path)
    for name in SCAN_TABLES:
        if (path / name).is_file():
            return _from_scans(path / name)
    if cases := case_folders(path):
        return LabelledData(path.name, "folder per case", cases, {})
    return _from_label_maps(path, structure)


def _from_scans(table: Path) -> LabelledData:
    return LabelledData(table.parent.name, "list of scans", listed_scans(table), {})


def _from_slices(folder: Path) -> LabelledData:
    folders = {"lungs": "lung", "infection": "infection"}
    present = {name: sub for name, sub in folders.items() if (folder / sub).is_dir()}

    def case(name: str, rows: list[dict[str, str]]) -> LabelledCase:
        files = [row["file"] for row in rows]
        return LabelledCase(
            name=name,
            patient=rows[0]["patient"],
            kind="pictures",
            images=tuple(folder / "ct" / file for file in files),
            truth={structure: tuple(folder / sub / file for file in files) for structure, sub in present.items()},
            fold=_fold(rows),
        )

    cases = _grouped(folder / "slices.csv", ("file", "volume", "patient"), lambda row: row["volume"], case)
    return LabelledData(folder.name, "slices of volumes", cases, present)


def _from_table(path: Path) -> LabelledData:
    def case(name: str, rows: list[dict[str, str]]) -> LabelledCase:
        images = tuple(path.parent / row["image"] for row in rows if row.get("image"))
        truth = {
            structure: tuple(path.parent / row[structure] for row in rows)
            for structure in ("lungs", "infection")
            if all(row.get(structure) for row in rows)
        }
        files = images or next(iter(truth.values()), ())
        if not truth:
            raise UnreadableFileError(f"{path}: volume {name} has no mask; expected a column 'lungs' or 'infection'")
        kind: CaseKind = "scan" if all(_is_scan(file) for file in files) else "pictures"
        if kind == "scan" and len(files) > 1:
            raise UnreadableFileError(f"{path}: {len(files)} scans are called {name}; expected one row a volume")
        spacing = _spacing(rows[0].get("spacing_mm"), path)
        patient = rows[0].get("patient") or name
        return LabelledCase(name, patient, kind, images, truth, _fold(rows), spacing)

    def volume(row: dict[str, str]) -> str:
        return row.get("volume") or case_name(Path(row["image"]))

    return LabelledData(path.stem, "table", _grouped(path, ("image",), volume, case), {})


def _from_volumes(folder: Path) -> LabelledData:
    subs = {kind: _subfolder(folder, kind) for kind in _FOLDERS}
    files = {kind: {volume_key(path): path for path in _files(sub)} for kind, sub in subs.items() if sub is not None}
    if "lungs" not in files and "infection" not in files:
        raise UnsupportedFormatError(
            f"{folder} has scans but no masks; expected the folders lung_mask and infection_mask beside ct_scans"
        )
    cases = []
    for key, image in files.pop("images").items():
        truth = {kind: (masks[key],) for kind, masks in files.items() if key in masks}
        if truth:
            cases.append(LabelledCase(key, volume_patient(key), "scan", (image,), truth))
    folders = {kind: sub.name for kind, sub in subs.items() if sub is not None and kind != "images"}
    return LabelledData(folder.name, "NIfTI volumes", tuple(cases), folders)


def _from_label_maps(folder: Path, structure: str) -> LabelledData:
    cases = []
    for path in _files(folder):
        kind: CaseKind = "scan" if _is_scan(path) else "pictures"
        cases.append(LabelledCase(case_name(path), case_name(path), kind, (), {structure: (path,)}))
    if not cases:
        raise UnsupportedFormatError(
            f"{folder} holds no labelled data; expected slices.csv with ct/, lung/ and infection/; ct_scans/ with "
            "lung_mask/ and infection_mask/; scans.csv (ct, patient, lungs, infection); a folder per case with ct and "
            "lungs or infection; or label maps (NIfTI, NRRD, MHA, PNG)"
        )
    return LabelledData(folder.name, "label maps", tuple(cases), {})


def volume_key(path: Path) -> str:
    """Name of a volume of the 20-volume set, the same for its scan and its masks in every copy of the set.

    `coronacases_org_001` is `coronacases_001`; `radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm` is
    `radiopaedia_10_85902_1`; other names stay.
    """
    name = case_name(path)
    if found := re.fullmatch(r"coronacases_(?:org_)?(\d+)", name):
        return f"coronacases_{found[1]}"
    if found := re.fullmatch(r"radiopaedia_(?:org_covid-19-pneumonia-)?(\d+_\d+_\d+)(?:-dcm)?", name):
        return f"radiopaedia_{found[1]}"
    return name


def volume_patient(key: str) -> str:
    """Patient of a volume of the 20-volume set: Radiopaedia's case number counts, not the study's; else the name."""
    found = re.fullmatch(r"(radiopaedia_\d+)_\d+_\d+", key)
    return found[1] if found else key


def _grouped(
    table: Path,
    needed: tuple[str, ...],
    volume: Callable[[dict[str, str]], str],
    make: Callable[[str, list[dict[str, str]]], LabelledCase],
) -> tuple[LabelledCase, ...]:
    rows = read_rows(table)
    if not rows or (missing := [name for name in needed if name not in rows[0]]):
        what = f"no column '{missing[0]}'" if rows else "no row"
        raise UnreadableFileError(f"{table} has {what}; expected the columns {', '.join(needed)}")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(volume(row), []).append(row)
    for name, group in groups.items():
        for column in ("patient", "fold"):
            if len({row.get(column) for row in group}) > 1:
                raise UnreadableFileError(f"{table}: the volume {name} has more than one {column}; expected one")
    return tuple(make(name, group) for name, group in sorted(groups.items()))


def _fold(rows: list[dict[str, str]]) -> int | None:
    text = rows[0].get("fold")
    return int(text) if text else None


def _spacing(text: str | None, table: Path) -> Spacing | None:
    if not text:
        return None
    try:
        rows, columns, slices = (float(value) for value in text.split())
    except ValueError:
        raise UnreadableFileError(
            f"{table}: the spacing '{text}' cannot be understood; expected three numbers (rows, columns, slices) in mm"
        ) from None
    return rows, columns, slices


def _is_scan(path: Path) -> bool:
    return path.name.lower().endswith(SCAN_ENDINGS)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith((*SCAN_ENDINGS, *PICTURE_ENDINGS)))


def _subfolder(folder: Path, kind: str) -> Path | None:
    return next((folder / name for name in _FOLDERS[kind] if (folder / name).is_dir()), None)
