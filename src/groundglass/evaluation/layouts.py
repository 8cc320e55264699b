"""Labelled data as they lie on disk, found out from what is there.

- `slices.csv` (or `images.csv`, `pairs.csv`) beside `ct/`, `lung/`, `infection/`: pictures of slices (`pictures.py`).
- `ct_scans/`, `lung_mask/`, `infection_mask/`: the public 20-volume COVID-19 set as downloaded (`public_set.py`).
- `scans.csv`, or a folder per case with `ct`, `lungs` and/or `infection` (`scans.py`).
- A CSV file: columns `image` and one or more of `lungs`, `infection`; optional `volume`, `patient`, `fold`,
  `spacing_mm` (rows, columns and slices, separated by blanks). Paths are relative to the CSV file.
- Any other folder: label maps alone, to be compared with predictions of the same file names.

Training reads all but the last two from the same modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundglass.errors import InputNotFoundError, OptionError, UnreadableFileError, UnsupportedFormatError
from groundglass.evaluation.cases import CaseKind, LabelledCase, Spacing
from groundglass.evaluation.pictures import picture_cases, picture_table
from groundglass.evaluation.public_set import has_only_scans, is_public_set, public_cases, volume_patient
from groundglass.evaluation.scans import SCAN_ENDINGS, SCAN_TABLES, case_folders, listed_scans
from groundglass.evaluation.tables import fold_of
from groundglass.io.digest import files_digest
from groundglass.io.options import case_name
from groundglass.io.tables import Row, read_rows
from groundglass.models.catalog import LearnedPatient

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class LabelledData:
    """A set of labelled volumes.

    Attributes:
        name: name of the folder or file.
        layout: how it lies on disk.
        cases: the volumes, by name.
        left_out: volumes, or structures of volumes, without masks, which are not among the cases.
    """

    name: str
    layout: str
    cases: tuple[LabelledCase, ...]
    left_out: tuple[str, ...] = ()

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
        return replace(self, cases=tuple(case for case in self.cases if case.fold in wanted))

    def of_patients_in(self, names: Iterable[str], known: Iterable[LearnedPatient] = ()) -> set[str]:
        """Names of the volumes whose patient also has one of the named volumes, or is one of those known."""
        known = tuple(known)
        here = [(case.name, case.patient, files_digest(case.images) if known else None) for case in self.cases]
        return volumes_of_patients(here, names, known)

    @property
    def patients(self) -> set[str]:
        """Everyone whose volumes are here."""
        return {case.patient for case in self.cases}


def volumes_of_patients(
    here: Sequence[tuple[str, str, str | None]], names: Iterable[str], known: Sequence[LearnedPatient]
) -> set[str]:
    """Names of the volumes here whose patient also has one of the named volumes, or is one of those known.

    Args:
        here: name, patient and checksum of the images of each volume.
        names: of volumes.
        known: patients, recognised by their images, however volumes and patients are called.
    """
    named = set(names)
    patients = {volume_patient(name) for name in named} | {patient for name, patient, _ in here if name in named}
    owner = {image: one.patient for one in known for image in one.images}
    same = {(patient, owner[mark]) for _, patient, mark in here if mark in owner}
    patients |= {own for own, _ in same}
    # A patient's number alone proves nothing: "1" is somebody else in the next data set. It counts once an image
    # shows that these data use the same numbers.
    if any(own == theirs for own, theirs in same):
        patients |= {one.patient for one in known}
    return {name for name, patient, _ in here if {patient, volume_patient(name)} & patients}


def read_data(path: Path, *, structure: str = "infection") -> LabelledData:
    """Find the labelled volumes of a folder or CSV file; no image is read yet.

    Args:
        path: folder or CSV file.
        structure: what the label maps of a plain folder show.

    Raises:
        InputNotFoundError: nothing there.
        DatasetError, UnreadableFileError: a table that cannot be understood.
        UnsupportedFormatError: a folder without labelled data.
    """
    if not path.exists():
        raise InputNotFoundError(f"{path} does not exist; expected a folder or a CSV file of labelled data")
    if path.is_file():
        return _from_file(path)
    for folder in (path, path / "covid20"):
        if folder.is_dir() and picture_table(folder) is not None:
            drawn, left_out = picture_cases(folder)
            if drawn:  # else the table may be one of slices to be classified
                return _named(folder, "slices of volumes", drawn, left_out)
    if is_public_set(path):
        return _named(path, "NIfTI volumes", *public_cases(path))
    if has_only_scans(path):
        raise UnsupportedFormatError(
            f"{path} has scans but no masks; expected the folders lung_mask and infection_mask beside ct_scans"
        )
    for name in SCAN_TABLES:
        if (path / name).is_file():
            return _named(path, "list of scans", listed_scans(path / name))
    cases, bare = case_folders(path)
    if cases:
        return _named(path, "folder per case", cases, bare)
    return _from_label_maps(path, structure)


def _named(folder: Path, layout: str, cases: Sequence[LabelledCase], left_out: tuple[str, ...] = ()) -> LabelledData:
    if not cases:
        raise UnsupportedFormatError(
            f"{folder} ({layout}) has no volume with masks; without: {', '.join(left_out[:5])}; add the masks"
        )
    return LabelledData(folder.name, layout, tuple(sorted(cases, key=lambda case: case.name)), left_out)


def _from_file(path: Path) -> LabelledData:
    if picture_table(path.parent) == path and "image" not in read_rows(path)[0]:
        return _named(path.parent, "slices of volumes", *picture_cases(path.parent))
    if path.name in SCAN_TABLES:
        return _named(path.parent, "list of scans", listed_scans(path))
    return _from_table(path)


def _from_table(path: Path) -> LabelledData:
    def case(name: str, rows: list[Row]) -> LabelledCase:
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
        return LabelledCase(name, patient, kind, images, truth, fold_of(rows[0], path), spacing)

    def volume(row: Row) -> str:
        return row.get("volume") or case_name(Path(row["image"]))

    return LabelledData(path.stem, "table", _grouped(path, ("image",), volume, case))


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
    return LabelledData(folder.name, "label maps", tuple(cases))


def _grouped(
    table: Path,
    needed: tuple[str, ...],
    volume: Callable[[Row], str],
    make: Callable[[str, list[Row]], LabelledCase],
) -> tuple[LabelledCase, ...]:
    rows = read_rows(table)
    if not rows or (missing := [name for name in needed if name not in rows[0]]):
        what = f"no column '{missing[0]}'" if rows else "no row"
        raise UnreadableFileError(f"{table} has {what}; expected the columns {', '.join(needed)}")
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(volume(row), []).append(row)
    for name, group in groups.items():
        for column in ("patient", "fold"):
            if len({row.get(column) for row in group}) > 1:
                raise UnreadableFileError(f"{table}: the volume {name} has more than one {column}; expected one")
    return tuple(make(name, group) for name, group in sorted(groups.items()))


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
