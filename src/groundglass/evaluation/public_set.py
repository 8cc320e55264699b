"""The COVID-19 CT Lung and Infection Segmentation set of 20 volumes, as Kaggle or Zenodo (3757476) hand it out."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from groundglass.evaluation.cases import LabelledCase
from groundglass.evaluation.scans import SCAN_ENDINGS
from groundglass.io.options import case_name
from groundglass.io.tables import read_rows

FOLDERS = {
    "ct": ("ct_scans", "covid-19-ct-seg_20cases"),
    "lungs": ("lung_mask",),
    "infection": ("infection_mask",),
    "both": ("lung_and_infection_mask",),
}
"""Names of the folders, in small letters: Zenodo's archives write some of them with capitals."""
METADATA = {"ct": "ct_scan", "lungs": "lung_mask", "infection": "infection_mask", "both": "lung_and_infection_mask"}
_CASE = re.compile(r"(coronacases|radiopaedia)_(?:org_)?(?:covid-19-pneumonia-)?(\d+(?:_\d+)*)(?:-dcm)?", re.IGNORECASE)


def is_public_set(folder: Path) -> bool:
    """Whether the folder holds scans and at least one kind of mask under the names of the set."""
    places = _places(folder)
    return "ct" in places and len(places) > 1


def has_only_scans(folder: Path) -> bool:
    """Whether the folder holds the scans of the set without any masks."""
    return list(_places(folder)) == ["ct"]


def public_cases(folder: Path) -> tuple[list[LabelledCase], tuple[str, ...]]:
    """The labelled scans of the set, by name, and the names of the scans without a mask.

    Volumes of one Radiopaedia case are of one patient. Headers of masks place some of them elsewhere than their scans,
    though the voxels are in the same order, so that headers are not trusted.
    """
    found: dict[str, dict[str, Path]] = {}
    for key, place in _places(folder).items():
        for path in sorted(place.rglob("*")):
            if path.is_file() and path.name.lower().endswith(SCAN_ENDINGS) and not path.name.startswith("."):
                found.setdefault(volume_key(path), {})[key] = path
    for name, files in _from_metadata(folder).items():
        found[name] = found.get(name, {}) | files
    scans = {name: files for name, files in sorted(found.items()) if "ct" in files}
    cases = [
        LabelledCase.of_scan(name, volume_patient(name), files, trust_headers=False)
        for name, files in scans.items()
        if len(files) > 1
    ]
    return cases, tuple(name for name, files in scans.items() if len(files) == 1)


def volume_key(path: Path) -> str:
    """Name of a volume of the set, the same for its scan and its masks in every copy of the set.

    `coronacases_org_001` is `coronacases_001`; `radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm` is
    `radiopaedia_10_85902_1`; other names stay.
    """
    found = _CASE.fullmatch(case_name(path))
    return f"{found[1].lower()}_{found[2]}" if found else case_name(path)


def volume_patient(key: str) -> str:
    """Patient of a volume of the set: Radiopaedia's case number counts, not the study's; else the name."""
    found = re.fullmatch(r"(radiopaedia_\d+)(?:_\d+)+", key)
    return found[1] if found else key


def _places(folder: Path) -> dict[str, Path]:
    children = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    return {key: children[name] for key, names in FOLDERS.items() for name in names if name in children}


def _from_metadata(folder: Path) -> dict[str, dict[str, Path]]:
    """Files that `metadata.csv` names; its paths are those of Kaggle, of which the last two parts count."""
    table = folder / "metadata.csv"
    found: dict[str, dict[str, Path]] = {}
    for row in read_rows(table) if table.is_file() else []:
        named = {
            key: PurePosixPath(row.get(column, "").replace("\\", "/")).parts[-2:] for key, column in METADATA.items()
        }
        files = {key: folder.joinpath(*parts) for key, parts in named.items() if len(parts) == 2}
        files = {key: path for key, path in files.items() if path.is_file()}
        if "ct" in files:
            found[volume_key(files["ct"])] = files
    return found
