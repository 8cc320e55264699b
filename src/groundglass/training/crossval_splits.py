"""Folds of a cross-validation, and the data as training sees them where the data have no such folds of their own."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from groundglass.errors import OptionError
from groundglass.evaluation.cases import LabelledCase
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.pictures import STRUCTURES
from groundglass.evaluation.scans import MAPS
from groundglass.io.write import atomic_write_bytes, writing

Split = Literal["patients", "slices"]


@dataclass(frozen=True)
class FoldPlan:
    """One fold.

    Attributes:
        fold: its number.
        test: what is held out and scored.
        validation: what the thresholds are chosen on; neither learned from nor scored in this fold.
        learn: folds to learn from; None: everything in `data`.
        others: volumes that are not held out.
        data: folder to learn from.
        folder: folder of this fold's results.
    """

    fold: int
    test: LabelledData
    validation: LabelledData | None
    learn: tuple[int, ...] | None
    others: tuple[str, ...]
    data: Path
    folder: Path

    @property
    def validation_folds(self) -> tuple[int, ...] | None:
        """Folds of the validation data."""
        if self.validation is None:
            return None
        return tuple(sorted({case.fold for case in self.validation.cases if case.fold is not None}))


def with_patient_folds(data: LabelledData, count: int, seed: int) -> tuple[LabelledData, bool]:
    """The data with a fold for every volume: their own folds, or else patients dealt at random.

    Returns:
        The data, and whether the folds are new.

    Raises:
        OptionError: some volumes have a fold and others have none, a patient is in two folds, or fewer patients than
            folds.
    """
    known = [case.fold for case in data.cases]
    if all(fold is not None for fold in known):
        require_whole_patients(data)
        return data, False
    if any(fold is not None for fold in known):
        raise OptionError(f"some volumes of {data.name} have a fold and others have none; expected all or none")
    patients = sorted(data.patients)
    if len(patients) < count:
        raise OptionError(f"{data.name} has {len(patients)} patients; expected at least {count} for {count} folds")
    order = np.random.default_rng(seed).permutation(len(patients))
    fold_of = {patients[index]: place % count for place, index in enumerate(order)}
    return replace(data, cases=tuple(replace(case, fold=fold_of[case.patient]) for case in data.cases)), True


def require_whole_patients(data: LabelledData) -> None:
    """Raise where a patient is in two folds.

    Raises:
        OptionError: names the patient.
    """
    fold_of: dict[str, int | None] = {}
    for case in data.cases:
        if fold_of.setdefault(case.patient, case.fold) != case.fold:
            raise OptionError(
                f"patient {case.patient} of {data.name} is in the folds {fold_of[case.patient]} and {case.fold}; "
                "expected every patient in one"
            )


def by_slices(data: LabelledData, count: int, seed: int) -> LabelledData:
    """Slices dealt at random, whoever they show: what a fold holds of a volume becomes a case of its own.

    The parts of a volume lie on both sides of every fold, so scores on them say nothing about new patients; they
    exist to show how much they flatter.

    Raises:
        OptionError: the data are not pictures.
    """
    if any(case.kind != "pictures" for case in data.cases):
        raise OptionError("a split by slices needs pictures of slices; these data are scans: split by patients")
    rng = np.random.default_rng(seed)
    parts = []
    for case in data.cases:
        fold_of = rng.integers(0, count, len(case.images))
        for fold in sorted(set(fold_of.tolist())):
            parts.append(_part(case, fold, np.flatnonzero(fold_of == fold).tolist()))
    return replace(data, cases=tuple(parts))


def _part(case: LabelledCase, fold: int, chosen: Sequence[int]) -> LabelledCase:
    return replace(
        case,
        name=f"{case.name}.{fold}",
        images=tuple(case.images[index] for index in chosen),
        truth={name: tuple(files[index] for index in chosen) for name, files in case.truth.items()},
        fold=fold,
    )


def training_view(data: Path, cases: Sequence[LabelledCase], folder: Path) -> Path:
    """A folder that training reads instead of the data: these cases with their folds, and links to all other folders.

    Args:
        data: the data folder.
        cases: volumes to list, with their folds.
        folder: where to make it; made anew if it is there.

    Returns:
        The folder.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        labelled = {path.resolve() for case in cases for path in _folders(case)}
        for other in sorted(data.iterdir()):
            link = folder / other.name
            holds_labels = any(other.resolve() in (path, *path.parents) for path in labelled)
            if other.is_dir() and not holds_labels:
                with suppress(FileExistsError):  # made before, or by a process that shares the run
                    os.symlink(other.resolve(), link, target_is_directory=True)
    pictures = all(case.kind == "pictures" for case in cases)
    name, text = ("slices.csv", _picture_rows(cases)) if pictures else ("scans.csv", _scan_rows(cases))
    atomic_write_bytes(folder / name, text.encode())
    return folder


def _folders(case: LabelledCase) -> set[Path]:
    return {path.parent for path in (*case.images, *(file for files in case.truth.values() for file in files))}


def _picture_rows(cases: Sequence[LabelledCase]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "volume", "patient", "fold", *STRUCTURES])
    for case in cases:
        drawn = [case.truth.get(name) for name in STRUCTURES.values()]
        for index, image in enumerate(case.images):
            masks = ["" if files is None else str(files[index].resolve()) for files in drawn]
            rows.writerow([str(image.resolve()), case.name, case.patient, case.fold, *masks])
    return text.getvalue()


def _scan_rows(cases: Sequence[LabelledCase]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["name", "ct", "patient", "fold", "trust_headers", *MAPS])
    for case in cases:
        files = {name: str(path.resolve()) for name, (path,) in case.truth.items()}
        if case.infection_label is not None:
            files["both"] = files.pop("infection")
            if files.get("lungs") == files["both"]:
                del files["lungs"]
        trusted = "" if case.trust_headers else "no"
        maps = [files.get(name, "") for name in MAPS]
        rows.writerow([case.name, str(case.images[0].resolve()), case.patient, case.fold, trusted, *maps])
    return text.getvalue()
