"""What training reads where a cross-validation deals the folds: the same volumes with the same labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import nibabel

from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.training.crossval_splits import training_view
from groundglass.training.sample import Sample
from groundglass.training.sources.find import recognise
from tests.evaluation.conftest import save_volume, write_slices


def dealt(data: LabelledData) -> LabelledData:
    return replace(data, cases=tuple(replace(case, fold=number % 2) for number, case in enumerate(data.cases)))


def same_samples(source: Path, view: Path) -> None:
    """Training learns the same from the view as from the data."""
    first, second = ({volume.name: volume for volume in recognise(folder)} for folder in (source, view))
    assert sorted(first) == sorted(second)
    for name, volume in first.items():
        assert volume.patient == second[name].patient
        for one, other in zip(volume.load(), second[name].load(), strict=True):
            same_slice(one, other)


def same_slice(one: Sample, other: Sample) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.masks, other.masks)
    np.testing.assert_array_equal(one.known, other.known)


def test_pictures_keep_every_mask_and_get_no_other(tmp_path: Path) -> None:
    folder = write_slices(tmp_path)
    for path in (folder / "infection").glob("alpha*.png"):
        path.unlink()
    (folder / "consolidation").mkdir()
    for path in (folder / "infection").glob("beta*.png"):
        (folder / "consolidation" / path.name).write_bytes(path.read_bytes())
    view = training_view(folder, dealt(read_data(folder)).cases, tmp_path / "view")
    same_samples(folder, view)
    assert len(recognise(view)) == len(recognise(folder)) > 1


@pytest.mark.parametrize("together", ["", "alone", "besides the lungs"])
def test_the_public_set_with_wrong_headers(together: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    rng = np.random.default_rng(5)
    for name in ("coronacases_001", "coronacases_002", "radiopaedia_10_85902_1"):
        labels = rng.integers(0, 3, (36, 40, 4)).astype(np.uint8)
        infection = (rng.random(labels.shape) < 0.2) & (labels > 0)
        values = np.where(labels, -800, 40).astype(np.int16)
        affine = np.array([[-1.0, 0, 0, 50], [0, -1.0, 0, 60], [0, 0, 2.0, 7], [0, 0, 0, 1]])
        (folder / "ct_scans").mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / "ct_scans" / f"{name}.nii.gz")
        if together != "alone":
            save_volume(folder / "lung_mask" / f"{name}.nii.gz", labels, (1.0, 1.0, 1.0))
        if together:
            both = np.where(infection, 3, labels).astype(np.uint8)
            save_volume(folder / "lung_and_infection_mask" / f"{name}.nii.gz", both, (1.0, 1.0, 1.0))
        else:
            save_volume(folder / "infection_mask" / f"{name}.nii.gz", infection.astype(np.uint8), (1.0, 1.0, 1.0))
    data = dealt(read_data(folder))
    view = training_view(folder, data.cases, tmp_path / "view")
    same_samples(folder, view)
    assert [replace(case, patient="") for case in read_data(view).cases] == [
        replace(case, patient="", fold=number % 2) for number, case in enumerate(read_data(folder).cases)
    ]
