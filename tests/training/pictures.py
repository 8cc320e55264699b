"""Made training data: chests of ellipses as pictures, in the layout of folders with a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

TINY = """
title = "A network small enough for a test"
channels = ["lung", "infection"]
sizes = [32]

[[preparation]]
step = "hu-window"

[[augmentation]]
step = "flip"

[[augmentation]]
step = "rotate"

[[augmentation]]
step = "noise"

[network]
kind = "unet"
features = [4, 4, 4, 4, 4]
dropout = 0.1

[loss]
smooth = 1.0

[schedule]
steps = 4
batch = 2
rate = 0.01
average_decay = 0.9
validate_every = 2
precision = "fp32"
"""


def tiny_preset(folder: Path, text: str = TINY) -> Path:
    """A preset file."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def chest(size: int = 96, seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.bool_]]:
    """A slice in HU, its lungs and its infection; the left lung of the picture is larger, the lesion in the right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    hu = np.full((size, size), -1000.0)
    hu[(x / 0.85) ** 2 + (y / rng.uniform(0.55, 0.65)) ** 2 < 1] = 40
    lung = np.zeros((size, size), bool)
    for side, wide in ((-0.4, 0.3), (0.4, 0.22)):
        lung |= ((x - side + rng.uniform(-0.05, 0.05)) / wide) ** 2 + (y / rng.uniform(0.36, 0.45)) ** 2 < 1
    lesion = lung & (((x - 0.4) / 0.14) ** 2 + ((y - rng.uniform(-0.1, 0.2)) / 0.18) ** 2 < 1)
    hu[lung] = -850
    hu[lesion] = -450
    grain = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), 3.0) * 400
    return np.clip(hu + grain + rng.standard_normal((size, size)) * 15, -1024, 3000).astype(np.int16), lung, lesion


def write_pictures(
    folder: Path, *, patients: int = 4, slices: int = 3, size: int = 48, folds: int | None = 2, first_seed: int = 0
) -> Path:
    """A folder ``ct``, ``lung``, ``infection`` and ``slices.csv``."""
    for name in ("ct", "lung", "infection"):
        (folder / name).mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for index in range(slices):
            hu, lung, lesion = chest(size, seed=first_seed + 100 * patient + index)
            file = f"p{patient}_{index}.png"
            grey = np.clip((hu.astype(float) + 1250) / 1500 * 255, 0, 255).astype(np.uint8)
            for name, picture in (("ct", grey), ("lung", lung * 255), ("infection", lesion * 255)):
                cv2.imwrite(str(folder / name / file), np.asarray(picture, dtype=np.uint8))
            fold = "" if folds is None else patient % folds
            rows.append({"file": file, "volume": f"v{patient}", "patient": f"p{patient}", "fold": fold})
    with (folder / "slices.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
