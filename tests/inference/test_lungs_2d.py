from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.evaluation.metrics import dice
from groundglass.inference.lungs import segment_lungs_2d
from tests.support.chest import Chest


def slice_truth() -> NDArray[np.uint8]:
    """True lungs of a slice as shown on a screen: row 0 anterior, column 0 the patient's right."""
    _, truth = Chest(spacing=(1.5, 1.5, 40.0)).build()
    return np.ascontiguousarray(truth[::-1, ::-1, 4].T)


def probability_of(mask: NDArray[np.generic], certain: int = 240) -> NDArray[np.uint8]:
    return np.asarray((mask != 0) * certain, dtype=np.uint8)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_right_lung_is_at_the_left_of_the_screen(factor: int) -> None:
    truth = np.kron(slice_truth(), np.ones((factor, factor), np.uint8))
    found = segment_lungs_2d(probability_of(truth))
    assert found.shape == truth.shape
    assert dice(found == 1, truth == 1) > 0.98
    assert dice(found == 2, truth == 2) > 0.98


def test_upside_down_and_transposed_pictures() -> None:
    truth = slice_truth()
    for turned in (truth[::-1], truth.T, truth.T[:, ::-1]):
        found = segment_lungs_2d(probability_of(turned))
        assert dice(found == 1, turned == 1) > 0.98
        assert dice(found == 2, turned == 2) > 0.98


def test_cropped_to_the_lungs() -> None:
    truth = slice_truth()
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    cropped = truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    found = segment_lungs_2d(probability_of(cropped))
    assert dice(found == 1, cropped == 1) > 0.98
    assert dice(found == 2, cropped == 2) > 0.98


def test_touching_lungs() -> None:
    truth = slice_truth()
    probability = probability_of(truth)
    rows, columns = truth.shape
    probability[rows // 2 - 25 : rows // 2 - 12, columns // 2 - 20 : columns // 2 + 20] = 200
    found = segment_lungs_2d(probability)
    assert dice(found == 1, truth == 1) > 0.93
    assert dice(found == 2, truth == 2) > 0.93


def test_vessels_are_filled_and_specks_removed() -> None:
    truth = slice_truth()
    probability = probability_of(truth)
    lung = np.argwhere(truth == 1).mean(axis=0).astype(int)
    hole = (slice(lung[0] - 4, lung[0] + 4), slice(lung[1] - 4, lung[1] + 4))
    probability[hole] = 0
    probability[1:4, 1:5] = 255
    found = segment_lungs_2d(probability)
    assert (found[hole] == 1).all()
    assert not found[:6, :8].any()


@pytest.mark.parametrize("side", [1, 2])
def test_one_lung(side: int) -> None:
    truth = slice_truth()
    found = segment_lungs_2d(probability_of(truth == side))
    assert set(np.unique(found)) == {0, side}


@pytest.mark.parametrize("shape", [(5, 5), (1, 40), (300, 7), (512, 512)])
def test_no_lungs(shape: tuple[int, int]) -> None:
    assert not segment_lungs_2d(np.zeros(shape, np.uint8)).any()
    assert not segment_lungs_2d(np.full(shape, 140, np.uint8)).any()


def test_threshold() -> None:
    probability = probability_of(slice_truth(), 200)
    assert segment_lungs_2d(probability, 0.7).any()
    assert not segment_lungs_2d(probability, 0.8).any()
