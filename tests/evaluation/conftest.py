"""Small labelled data sets in every layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

VOLUMES = (
    ("alpha_1", "alpha", 0),
    ("alpha_2", "alpha", 0),
    ("beta", "beta", 0),
    ("gamma", "gamma", 1),
    ("delta", "delta", 1),
)
SIZE = 48


def masks(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two lungs and a lesion, (rows, columns), 0 or 255; every seed gives others."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    lungs = np.zeros((SIZE, SIZE), np.uint8)
    for middle in (13, 34):
        lungs[((rows - 24) / 17) ** 2 + ((columns - middle) / 8) ** 2 < 1] = 255
    lesion = (rows - 20 - seed % 5) ** 2 + (columns - 13) ** 2 < (3 + seed % 4) ** 2
    return lungs, np.where(lesion, 255, 0).astype(np.uint8)


def write_slices(parent: Path) -> Path:
    """Five volumes of three slices of four patients in two folds, as pictures."""
    folder = parent / "slices"
    for sub in ("ct", "lung", "infection"):
        (folder / sub).mkdir(parents=True)
    lines = ["file,volume,patient,slice_in_volume,fold"]
    for number, (volume, patient, fold) in enumerate(VOLUMES):
        for index in range(3):
            name = f"{volume}__{index}.png"
            lungs, lesion = masks(number + index)
            cv2.imwrite(str(folder / "ct" / name), 180 - lungs // 2 + lesion // 4)
            cv2.imwrite(str(folder / "lung" / name), lungs)
            cv2.imwrite(str(folder / "infection" / name), lesion)
            lines.append(f"{name},{volume},{patient},{index},{fold}")
    (folder / "slices.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Five volumes of three slices of four patients in two folds, as pictures."""
    return write_slices(tmp_path)


def save_volume(path: Path, array: NDArray[np.generic], spacing: tuple[float, float, float] = (1.0, 1.5, 2.0)) -> None:
    """Write an array (x, y, z) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The public layout of the 20-volume set, with two small volumes in the names of the Kaggle copy."""
    folder = tmp_path / "volumes"
    scans = {
        "coronacases_org_001": "coronacases_001",
        "radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm": "radiopaedia_10_85902_1",
    }
    for number, (scan, mask) in enumerate(scans.items()):
        lungs = np.stack([masks(number + z)[0].T for z in range(4)], axis=2) // 255
        lesion = np.stack([masks(number + z)[1].T for z in range(4)], axis=2) // 255
        values = np.where(lungs, -800, 40).astype(np.int16) + lesion.astype(np.int16) * 500
        save_volume(folder / "ct_scans" / f"{scan}.nii.gz", values)
        save_volume(folder / "lung_mask" / f"{mask}.nii.gz", lungs.astype(np.uint8))
        save_volume(folder / "infection_mask" / f"{mask}.nii.gz", lesion.astype(np.uint8))
    return folder
