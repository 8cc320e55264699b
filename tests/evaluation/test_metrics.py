from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.evaluation.metrics import dice, iou, overlap, precision, recall

MASKS = arrays(np.bool_, (3, 4, 2))
METRICS = [dice, iou, precision, recall]


def test_known_overlap() -> None:
    predicted = np.array([1, 1, 1, 0, 0, 0])
    truth = np.array([0, 1, 1, 1, 1, 0])
    assert dice(predicted, truth) == pytest.approx(4 / 7)
    assert iou(predicted, truth) == pytest.approx(2 / 5)
    assert precision(predicted, truth) == pytest.approx(2 / 3)
    assert recall(predicted, truth) == pytest.approx(2 / 4)


@pytest.mark.parametrize("metric", METRICS)
def test_empty_masks(metric: object) -> None:
    empty, full = np.zeros(5, bool), np.ones(5, bool)
    assert callable(metric)
    assert metric(empty, empty) == 1.0
    assert metric(empty, full) == 0.0
    assert metric(full, empty) == 0.0
    assert metric(full, full) == 1.0


def test_names_which_mask_is_empty() -> None:
    empty, full = np.zeros(5, bool), np.ones(5, bool)
    assert [overlap(*pair).empty for pair in ((empty, empty), (empty, full), (full, empty), (full, full))] == [
        "both",
        "prediction",
        "truth",
        "neither",
    ]


def test_shapes_must_match() -> None:
    with pytest.raises(InvalidImageError, match="shape"):
        dice(np.zeros((2, 3)), np.zeros((3, 2)))


@settings(deadline=None)
@given(MASKS, MASKS)
def test_relations(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    counted = overlap(predicted, truth)
    assert 0.0 <= counted.iou <= counted.dice <= 1.0
    assert counted.dice == pytest.approx(2 * counted.iou / (1 + counted.iou))
    swapped = overlap(truth, predicted)
    assert (swapped.dice, swapped.precision, swapped.recall) == (counted.dice, counted.recall, counted.precision)


@settings(deadline=None)
@given(MASKS, st.permutations([0, 1, 2]))
def test_axis_order_does_not_matter(mask: NDArray[np.bool_], axes: list[int]) -> None:
    other = np.roll(mask, 1, axis=0)
    assert dice(mask.transpose(axes), other.transpose(axes)) == dice(mask, other)
