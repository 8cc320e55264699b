from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


def slice_picture(rng: np.random.Generator, kind: str, size: int = 48) -> np.ndarray:
    """A body with two lungs; COVID has hazy patches, OtherPneumonia a white one."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    shift = rng.uniform(-0.08, 0.08)
    grey = np.full((size, size), 20.0)
    grey[(x / 0.9) ** 2 + (y / 0.8) ** 2 < 1] = 170
    for side in (-0.4, 0.4):
        grey[((x - side - shift) / 0.3) ** 2 + (y / 0.55) ** 2 < 1] = 45
    level = {"COVID": 105, "OtherPneumonia": 165}.get(kind)
    if level is not None:
        centre = rng.uniform(-0.2, 0.2)
        grey[((x - 0.4 - shift) / 0.2) ** 2 + ((y - centre) / 0.25) ** 2 < 1] = level
    return np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients of three classes, two slices each, as a table with patients."""
    folder, rng = tmp_path_factory.mktemp("data") / "made", np.random.default_rng(0)
    rows = ["file,label,patient,split"]
    for kind in ("COVID", "OtherPneumonia", "Normal"):
        (folder / kind).mkdir(parents=True)
        for patient in range(5):
            for number in range(1 + patient % 2 + (kind == "COVID")):
                file = f"{kind}/{patient}_{number}.png"
                cv2.imwrite(str(folder / file), slice_picture(rng, kind))
                rows.append(f"{file},{kind},{kind}{patient},")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    return folder
