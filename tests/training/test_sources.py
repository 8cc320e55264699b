"""What the values of label maps mean for training, and how their files are named when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from groundglass.errors import DatasetError
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sources.find import recognise
from tests.evaluation.conftest import save_volume

SHAPE = (36, 40, 3)


def lesion() -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:12, 6:20, :2] = 1
    return labels


def samples(folder: Path, name: str, labels: NDArray[np.generic]) -> list[Sample]:
    """A case whose map of that name holds these labels (x, y, z), as training reads it."""
    save_volume(folder / "anna" / "ct.nii.gz", np.full(SHAPE, -800, np.int16))
    save_volume(folder / "anna" / f"{name}.nii.gz", labels)
    return recognise(folder)[0].load()


@pytest.mark.parametrize("value", [1, 3, 255])
def test_infection_by_another_convention_says_nothing_of_consolidation(value: int, tmp_path: Path) -> None:
    found = samples(tmp_path, "infection", lesion() * np.uint8(value))
    for one in found:
        sick = one.masks[INFECTION] > 0
        assert not one.known[CONSOLIDATION][sick].any()
        assert one.known[CONSOLIDATION][~sick].all()
    assert any(one.masks[INFECTION].any() for one in found)


def test_ground_glass_and_consolidation_are_told_apart(tmp_path: Path) -> None:
    labels = lesion()
    labels[8:10, 8:12, 0] = 2
    found = samples(tmp_path, "infection", labels)
    assert all(one.known[CONSOLIDATION].all() for one in found)
    assert sum(int(one.masks[CONSOLIDATION].sum()) for one in found) == 2 * 4


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.where(lesion(), 1, -1).astype(np.int16), "the value -1"),
        (lesion() * np.float32(0.4), "the value 0.4"),
        (np.where(lesion(), 256, 0).astype(np.int16), "the value 256"),
    ],
    ids=["negative", "fractions", "large"],
)
def test_values_that_are_no_labels_are_refused(labels: NDArray[np.generic], found: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"anna/lungs\.nii\.gz holds {found}; expected whole numbers"):
        samples(tmp_path, "lungs", labels)


def test_lungs_of_any_value(tmp_path: Path) -> None:
    found = samples(tmp_path, "lungs", (lesion() > 0).astype(np.float32))
    assert sum(int(one.masks[LUNG].sum()) for one in found) == np.count_nonzero(lesion())


@pytest.mark.parametrize("name", ["ct", "lungs"])
def test_a_damaged_file_is_named_with_its_folder(name: str, tmp_path: Path) -> None:
    samples(tmp_path, "lungs", lesion())
    path = tmp_path / "anna" / f"{name}.nii.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=rf"anna/{name}\.nii\.gz: the (?!.*{name}\.nii\.gz)"):
        recognise(tmp_path)[0].load()
