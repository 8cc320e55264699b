"""Whole scans with label maps: case folders, a CSV file of paths, and the public 20-volume set as downloaded."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError
from groundglass.evaluation import scans
from groundglass.io.read import read_input
from groundglass.io.tables import read_rows
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sources.pictures import fold_of
from groundglass.training.sources.volume import LabelledVolume, labelled_sample
from groundglass.volume import CTVolume

PUBLIC_FOLDERS = {
    "ct": ("ct_scans", "covid-19-ct-seg_20cases"),
    "lungs": ("lung_mask",),
    "infection": ("infection_mask",),
    "both": ("lung_and_infection_mask",),
}
PUBLIC_CASE = re.compile(r"(coronacases|radiopaedia)_(?:org_)?(?:covid-19-pneumonia-)?(\d+(?:_\d+)*)", re.IGNORECASE)
INFECTED = 3
"""Infection in the public set's maps of lungs and infection together; 1 and 2 are the lungs."""


def scan_volume(
    name: str, patient: str, fold: int | None, files: dict[str, Path], *, trust_headers: bool = True
) -> LabelledVolume:
    """A scan and its label maps.

    Args:
        name: Of the volume.
        patient: Whose it is.
        fold: Fold, where it is known.
        files: ``ct``, and ``lungs``, ``infection`` or ``both`` (1, 2 lungs; 3 infection).
        trust_headers: Refuse label maps whose header places them elsewhere than the scan; otherwise maps of the
            same shape are laid over it voxel by voxel.
    """

    def load() -> list[Sample]:
        return _samples(name, files, trust_headers)

    every = tuple(file for path in files.values() for file in ([path] if path.is_file() else sorted(path.rglob("*"))))
    return LabelledVolume(name, patient, fold, "scans", tuple(path for path in every if path.is_file()), load)


def _read(path: Path) -> CTVolume:
    volume = read_input(path)
    if not isinstance(volume, CTVolume):
        raise DatasetError(f"{path} holds pictures; expected a scan")
    return volume


def _labels(path: Path, scan: CTVolume, scan_path: Path, trust_headers: bool) -> NDArray[np.uint8]:
    """A label map in the voxel order of its scan."""
    found = _read(path)
    labels = np.asarray(np.rint(found.values), dtype=np.uint8)
    if found.geometry.matches(scan.geometry, tolerance_mm=float(min(scan.geometry.spacing)) / 2):
        return labels
    if not trust_headers and found.source.geometry.shape == scan.source.geometry.shape:
        as_stored = found.source.geometry.ras_order().undo(labels)
        return np.asarray(scan.source.geometry.ras_order().apply(as_stored), dtype=np.uint8)
    raise DatasetError(
        f"the label map {path} ({found.source.geometry}) does not lie on the grid of its scan {scan_path} "
        f"({scan.source.geometry}); expected the same shape and position; save it on the scan's grid"
    )


def _samples(name: str, files: dict[str, Path], trust_headers: bool) -> list[Sample]:
    scan = _read(files["ct"])
    maps = {key: _labels(path, scan, files["ct"], trust_headers) for key, path in files.items() if key != "ct"}
    is_picture = float(scan.values.min()) >= 0.0 and float(scan.values.max()) <= 255.0
    samples = []
    for z in range(scan.values.shape[2])[::-1]:
        plane = np.ascontiguousarray(scan.axial(z))
        hu = np.clip(np.rint(np.nan_to_num(plane, nan=-1024.0)), -1024, 3071)
        image = hu.astype(np.uint8 if is_picture else np.int16)
        labels = _channels({key: volume[::-1, ::-1, z].T for key, volume in maps.items()})
        samples.append(labelled_sample(f"{name}[{z}]", name, image, "picture" if is_picture else "hu", labels))
    return samples


def _channels(maps: dict[str, NDArray[np.uint8]]) -> dict[int, NDArray[np.bool_]]:
    """Masks by channel: lungs are any label; infection 1 ground-glass, 2 consolidation (all 1: not told apart)."""
    found: dict[int, NDArray[np.bool_]] = {}
    if "both" in maps:
        found[LUNG], found[INFECTION] = maps["both"] > 0, maps["both"] == INFECTED
    if "lungs" in maps:
        found[LUNG] = maps["lungs"] > 0
    if "infection" in maps:
        found[INFECTION] = maps["infection"] > 0
        if (maps["infection"] > 1).any():
            found[CONSOLIDATION] = maps["infection"] == 2
    return found


def _stem(path: Path) -> str:
    name = path.name.lower()
    return next((name.removesuffix(end) for end in (".nii.gz", *scans.SCAN_ENDINGS) if name.endswith(end)), name)


def case_folders(folder: Path) -> list[LabelledVolume]:
    """One folder per case: ``ct.nii.gz`` (or a DICOM folder ``ct``) beside ``lungs.nii.gz`` and ``infection.nii.gz``.

    The folder's name is the patient.
    """
    return [
        scan_volume(
            case.name, case.patient, None, {"ct": case.images[0]} | {key: path for key, (path,) in case.truth.items()}
        )
        for case in scans.case_folders(folder)
    ]


def listed_scans(table: Path) -> list[LabelledVolume]:
    """Scans listed in a CSV file with the columns ``ct``, ``patient`` and ``lungs`` and/or ``infection``.

    Paths are relative to the file; ``ct`` may be a DICOM folder; ``fold`` and ``name`` are optional.

    Raises:
        DatasetError: A path does not exist, or a row has no label map.
    """
    volumes = []
    for index, row in enumerate(read_rows(table)):
        files = {key: table.parent / row[key] for key in ("ct", "lungs", "infection", "both") if row.get(key)}
        missing = [str(path) for path in files.values() if not path.exists()]
        if missing or "ct" not in files or len(files) < 2 or not row.get("patient"):
            problem = f"{', '.join(missing)} not found" if missing else "'ct', 'patient' or every label map is empty"
            raise DatasetError(f"{table}, row {index + 2}: {problem}; expected ct, patient and lungs or infection")
        name = row.get("name") or f"{row['patient']}_{index}"
        volumes.append(scan_volume(name, row["patient"], fold_of(row, table), files))
    return volumes


def public_volumes(folder: Path) -> list[LabelledVolume]:
    """The COVID-19 CT Lung and Infection Segmentation set as Kaggle or Zenodo (3757476) hand it out.

    Volumes of one radiopaedia case are of one patient.

    Raises:
        DatasetError: A scan has no label map.
    """
    places = _public_places(folder)
    listed = _from_metadata(folder)
    found: dict[str, dict[str, Path]] = {}
    for key, place in places.items():
        for path in sorted(place.rglob("*")):
            if path.is_file() and path.name.lower().endswith((".nii", ".nii.gz")) and (case := public_case(path.name)):
                found.setdefault(case, {})[key] = path
    for case, files in listed.items():
        found[case] = {**found.get(case, {}), **files}
    volumes = []
    for case, files in sorted(found.items()):
        if "ct" not in files:
            continue
        if len(files) < 2:
            raise DatasetError(f"{files['ct']} has no label map beside it in {folder}; download the masks too")
        # The map of both repeats what the single ones say.
        chosen = {key: path for key, path in files.items() if key != "both" or not {"lungs", "infection"} <= set(files)}
        volumes.append(scan_volume(case, _public_patient(case), None, chosen, trust_headers=False))
    return volumes


def public_case(file_name: str) -> str | None:
    """``coronacases_001`` or ``radiopaedia_10_85902_1`` from any of the names that a file of the set goes by."""
    match = PUBLIC_CASE.search(file_name)
    return f"{match[1].lower()}_{match[2]}" if match else None


def _public_patient(case: str) -> str:
    kind, *numbers = case.split("_")
    return case if kind == "coronacases" else f"{kind}_{numbers[0]}"


def _public_places(folder: Path) -> dict[str, Path]:
    children = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    return {key: children[name] for key, names in PUBLIC_FOLDERS.items() for name in names if name in children}


def _from_metadata(folder: Path) -> dict[str, dict[str, Path]]:
    """Files that ``metadata.csv`` names; its paths are those of Kaggle, of which the last two parts count."""
    table = folder / "metadata.csv"
    keys = {"ct": "ct_scan", "lungs": "lung_mask", "infection": "infection_mask", "both": "lung_and_infection_mask"}
    found: dict[str, dict[str, Path]] = {}
    for row in read_rows(table) if table.is_file() else []:
        named = {key: PurePosixPath(row.get(column, "")).parts[-2:] for key, column in keys.items()}
        files = {key: folder.joinpath(*parts) for key, parts in named.items() if len(parts) == 2}
        files = {key: path for key, path in files.items() if path.is_file()}
        if "ct" in files:
            found[public_case(files["ct"].name) or _stem(files["ct"])] = files
    return found


def is_public_set(folder: Path) -> bool:
    """Does the folder hold the public set as downloaded?"""
    places = _public_places(folder)
    return "ct" in places and len(places) > 1
