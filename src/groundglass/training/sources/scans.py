"""Whole scans with label maps: case folders, a CSV file of paths, and the public 20-volume set as downloaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError, InputError
from groundglass.evaluation import public_set, scans
from groundglass.evaluation.cases import LabelledCase
from groundglass.evaluation.label_maps import over_scan, read_labels, same_place
from groundglass.io.read import read_input
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sources.volume import LabelledVolume, labelled_sample
from groundglass.volume import CTVolume

logger = logging.getLogger(__name__)
OPACITIES = 2
"""The highest value of an infection map that tells ground-glass (1) and consolidation (2) apart."""


def scan_volume(case: LabelledCase) -> LabelledVolume:
    """A scan and its label maps, to be learned from."""

    def load() -> list[Sample]:
        return _samples(case)

    named = (case.images[0], *dict.fromkeys(path for (path,) in case.truth.values()))
    every = tuple(file for path in named for file in ([path] if path.is_file() else sorted(path.rglob("*"))))
    present = tuple(path for path in every if path.is_file())
    return LabelledVolume(case.name, case.patient, case.fold, "scans", present, load, images=case.images)


def _read(path: Path) -> CTVolume:
    try:
        volume = read_input(path)
    except InputError as error:
        raise _named(path, error) from error
    if not isinstance(volume, CTVolume):
        raise DatasetError(f"{path} holds pictures; expected a scan")
    return volume


def _named(path: Path, error: InputError) -> InputError:
    """The error with the whole path: in a folder per case every file has the same name."""
    text = str(error)
    return DatasetError(text if str(path) in text else f"{path}: {text.removeprefix(f'{path.name}: ')}")


def _labels(path: Path, scan: CTVolume, case: LabelledCase) -> NDArray[np.uint8]:
    """A label map ``(x, y, z)`` in the voxel order of its scan."""
    try:
        found = read_labels(path)
    except InputError as error:
        raise _named(path, error) from error
    if not case.trust_headers:
        found = over_scan(found, scan.source.geometry)
    if same_place(scan.geometry, found.geometry):
        return found.labels
    raise DatasetError(
        f"the label map {path} ({found.source.geometry}) does not lie on the grid of its scan {case.images[0]} "
        f"({scan.source.geometry}); expected the same shape and position; save it on the scan's grid"
    )


def _samples(case: LabelledCase) -> list[Sample]:
    scan = _read(case.images[0])
    maps = {key: _labels(path, scan, case) for key, (path,) in case.truth.items()}
    volumes = _channels(maps, case.infection_label)
    is_picture = float(scan.values.min()) >= 0.0 and float(scan.values.max()) <= 255.0
    samples = []
    for z in range(scan.values.shape[2])[::-1]:
        plane = np.ascontiguousarray(scan.axial(z))
        hu = np.clip(np.rint(np.nan_to_num(plane, nan=-1024.0)), -1024, 3071)
        image = hu.astype(np.uint8 if is_picture else np.int16)
        labels = {channel: mask[::-1, ::-1, z].T for channel, mask in volumes.items()}
        samples.append(
            labelled_sample(f"{case.name}[{z}]", case.name, image, "picture" if is_picture else "hu", labels)
        )
    return samples


def _channels(maps: Mapping[str, NDArray[np.uint8]], infection_label: int | None) -> dict[int, NDArray[np.bool_]]:
    """Masks by channel: lungs are any label, infection too unless it has a label of its own.

    Consolidation is 2 beside ground-glass 1. It is known only where a map has a 2 and nothing above: a map of 0 and 1
    does not tell the two apart, and one of 0 and 255, or of 3, is drawn by another convention.
    """
    found: dict[int, NDArray[np.bool_]] = {}
    if (lungs := maps.get("lungs")) is not None:
        found[LUNG] = lungs > 0
    if (infection := maps.get("infection")) is None:
        return found
    if infection_label is not None:
        found[INFECTION] = infection == infection_label
        return found
    found[INFECTION] = infection > 0
    if infection.max() == OPACITIES:
        found[CONSOLIDATION] = infection == OPACITIES
    return found


def case_folders(folder: Path) -> list[LabelledVolume]:
    """One folder per case, see `groundglass.evaluation.scans`; folders without a label map are left out."""
    cases, bare = scans.case_folders(folder)
    if cases and bare:
        logger.warning("%s: %d scans have no label map: %s", folder, len(bare), ", ".join(bare[:5]))
    return [scan_volume(case) for case in cases]


def listed_scans(table: Path) -> list[LabelledVolume]:
    """Scans listed in a CSV file, see `groundglass.evaluation.scans`.

    Raises:
        DatasetError: A path does not exist, or the table cannot be understood.
    """
    volumes = []
    for number, case in enumerate(scans.listed_scans(table), start=2):
        files = (*case.images, *(path for (path,) in case.truth.values()))
        if missing := dict.fromkeys(str(path) for path in files if not path.exists()):
            raise DatasetError(f"{table}, row {number}: {', '.join(missing)} not found; correct the path")
        volumes.append(scan_volume(case))
    return volumes


def public_volumes(folder: Path) -> list[LabelledVolume]:
    """The public set as Kaggle or Zenodo hand it out, see `groundglass.evaluation.public_set`.

    Raises:
        DatasetError: A scan has no label map.
    """
    cases, bare = public_set.public_cases(folder)
    if bare:
        raise DatasetError(f"{bare[0]} has no label map beside it in {folder}; download the masks too")
    return [scan_volume(case) for case in cases]
