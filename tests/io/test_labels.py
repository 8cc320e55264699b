"""Reading masks back: the file's own grid is kept, what is no mask is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from groundglass.errors import InputNotFoundError, InvalidImageError
from groundglass.io.labels import read_label_map

AFFINE = np.diag([-1.0, -1.5, 2.0, 1.0])


def saved(folder: Path, array: np.ndarray) -> Path:
    path = folder / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    return path


def test_labels_and_grid_come_back(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 15, (6, 7, 8)).astype(np.uint8)
    found = read_label_map(saved(tmp_path, labels), "case", {})
    assert np.array_equal(found.on_source_grid(), labels)
    assert np.allclose(found.source.geometry.affine, AFFINE)
    assert found.labels.flags.f_contiguous


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="expected a label map"):
        read_label_map(tmp_path / "none.nii.gz", "case", {})
    with pytest.raises(InvalidImageError, match="whole numbers from 0 to 2"):
        read_label_map(saved(tmp_path, np.full((5, 5, 5), 3, np.uint8)), "case", {1: "right lung", 2: "left lung"})
    with pytest.raises(InvalidImageError, match="whole numbers"):
        read_label_map(saved(tmp_path, np.full((5, 5, 5), 0.5, np.float32)), "case", {})
    with pytest.raises(InvalidImageError, match="-900"):
        read_label_map(saved(tmp_path, np.full((5, 5, 5), -900, np.int16)), "case", {})
