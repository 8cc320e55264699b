"""Our metrics against independent implementations: scikit-learn, SimpleITK and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn import metrics as reference

from groundglass.errors import InvalidImageError
from groundglass.evaluation.metrics import NOTHING, overlap
from groundglass.evaluation.records import Histogram
from groundglass.evaluation.surface import surface_agreement
from groundglass.evaluation.sweep import THRESHOLDS, average_precision, best_threshold, curves, metrics_at_thresholds

MASKS = arrays(np.bool_, (4, 5, 3))
SPACING = (1.0, 0.7, 2.5)


def ball(shape: tuple[int, int, int], middle: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    grid = np.indices(shape).astype(float)
    squares = sum(((grid[axis] - middle[axis]) * SPACING[axis]) ** 2 for axis in range(3))
    return np.asarray(squares < radius**2)


@settings(deadline=None, max_examples=60)
@given(MASKS, MASKS)
def test_overlap_is_that_of_scikit_learn(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    counted = overlap(predicted, truth)
    flat = truth.ravel(), predicted.ravel()
    empty = 1.0 if counted.empty == "both" else 0.0
    assert counted.dice == pytest.approx(reference.f1_score(*flat, zero_division=empty))
    assert counted.iou == pytest.approx(reference.jaccard_score(*flat, zero_division=empty))
    assert counted.precision == pytest.approx(reference.precision_score(*flat, zero_division=empty))
    assert counted.recall == pytest.approx(reference.recall_score(*flat, zero_division=empty))
    assert counted.accuracy == pytest.approx(reference.accuracy_score(*flat))


def test_overlap_is_that_of_simpleitk() -> None:
    rng = np.random.default_rng(4)
    predicted, truth = rng.random((2, 12, 9, 7)) < 0.4
    measured = SimpleITK.LabelOverlapMeasuresImageFilter()
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (predicted, truth)]
    measured.Execute(*images)
    counted = overlap(predicted, truth)
    assert counted.dice == pytest.approx(measured.GetDiceCoefficient())
    assert counted.iou == pytest.approx(measured.GetJaccardCoefficient())
    hits = int((predicted & truth).sum())
    assert counted.volume_error == pytest.approx((predicted.sum() - truth.sum()) / truth.sum())
    assert (counted.both, counted.total) == (hits, truth.size)


@settings(deadline=None, max_examples=40)
@given(MASKS, MASKS, st.sampled_from([0, 1, 2]))
def test_flips_change_nothing_and_slices_add_up(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], axis: int
) -> None:
    whole = overlap(predicted, truth)
    assert overlap(np.flip(predicted, axis), np.flip(truth, axis)) == whole
    parts = [overlap(predicted[..., index], truth[..., index]) for index in range(truth.shape[2])]
    assert sum(parts, start=NOTHING) == whole
    assert 0.0 <= whole.accuracy <= 1.0


def border_points(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners between eight voxels that are not all alike, in millimetres: the surface, found the slow way."""
    padded = np.pad(mask, 1)
    corners = [
        padded[x : x + mask.shape[0] + 1, y : y + mask.shape[1] + 1, z : z + mask.shape[2] + 1]
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    ]
    count = np.sum(corners, axis=0)
    return np.asarray(np.argwhere((count > 0) & (count < 8)) * np.asarray(SPACING))


def test_surfaces_are_those_of_a_nearest_neighbour_search() -> None:
    shape = (24, 30, 14)
    predicted, truth = ball(shape, (11, 14, 6), 7.5), ball(shape, (12, 15, 6), 8.0)
    one, other = border_points(predicted), border_points(truth)
    there, back = cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]
    within = (np.count_nonzero(there <= 1.2) + np.count_nonzero(back <= 1.2)) / (len(one) + len(other))
    found = surface_agreement(predicted, truth, SPACING, tolerance_mm=1.2)
    # The library weighs points by the area of their surface, which a count of points does not.
    assert found.nsd == pytest.approx(within, abs=0.06)
    assert found.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=0.25)


def test_a_shift_by_two_voxels_is_two_voxels_of_distance() -> None:
    truth = np.zeros((20, 20, 12), bool)
    truth[4:12, 5:15, 3:9] = True
    found = surface_agreement(np.roll(truth, 2, axis=0), truth, (1.5, 1.0, 1.0), tolerance_mm=3.0)
    assert found.hd95_mm == pytest.approx(3.0)
    assert found.nsd == 1.0
    assert surface_agreement(np.roll(truth, 2, axis=0), truth, (1.5, 1.0, 1.0), tolerance_mm=2.9).nsd < 1.0


@settings(deadline=None, max_examples=25)
@given(arrays(np.bool_, (5, 4, 3)), arrays(np.bool_, (5, 4, 3)), st.sampled_from([0, 1, 2]))
def test_surface_properties(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], axis: int) -> None:
    found = surface_agreement(predicted, truth, SPACING, tolerance_mm=1.0)
    swapped = surface_agreement(truth, predicted, SPACING, tolerance_mm=1.0)
    flipped = surface_agreement(np.flip(predicted, axis), np.flip(truth, axis), SPACING, tolerance_mm=1.0)
    assert 0.0 <= found.nsd <= 1.0
    assert swapped.nsd == pytest.approx(found.nsd)
    assert swapped.hd95_mm == found.hd95_mm
    assert flipped.nsd == pytest.approx(found.nsd)
    assert surface_agreement(truth, truth, SPACING, tolerance_mm=1.0).nsd == 1.0


def test_surfaces_of_empty_masks() -> None:
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    both = surface_agreement(empty, empty, (1.0, 1.0), tolerance_mm=1.0)
    one = surface_agreement(empty, full, (1.0, 1.0), tolerance_mm=1.0)
    assert (both.nsd, both.hd95_mm) == (1.0, 0.0)
    assert (one.nsd, one.hd95_mm) == (0.0, None)
    with pytest.raises(InvalidImageError, match="one number per axis"):
        surface_agreement(full, full, (1.0, 1.0, 1.0), tolerance_mm=1.0)


def histogram(probability: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Histogram:
    return Histogram(
        inside=np.bincount(probability[truth], minlength=256).tolist(),
        outside=np.bincount(probability[~truth], minlength=256).tolist(),
    )


@settings(deadline=None, max_examples=40)
@given(arrays(np.uint8, 60), arrays(np.bool_, 60), st.integers(0, 254))
def test_every_threshold_is_the_plain_count(
    probability: NDArray[np.uint8], truth: NDArray[np.bool_], place: int
) -> None:
    counted = overlap(probability >= round(THRESHOLDS[place] * 255), truth)
    found = metrics_at_thresholds(histogram(probability, truth))[:, place]
    assert found == pytest.approx([counted.dice, counted.iou, counted.precision, counted.recall])


def test_average_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(4000) < 0.2
    probability = np.clip(rng.normal(90, 40, 4000) + 60 * truth, 0, 255).astype(np.uint8)
    found = average_precision(histogram(probability, truth))
    assert found == pytest.approx(reference.average_precision_score(truth, probability))
    assert average_precision(histogram(probability, np.zeros(4000, bool))) == 0.0


def test_the_best_threshold_is_where_the_mean_is_highest() -> None:
    truth = np.repeat([True, False], 50)
    low, high = np.where(truth, 100, 20).astype(np.uint8), np.where(truth, 200, 90).astype(np.uint8)
    both = [histogram(low, truth), histogram(high, truth)]
    best = best_threshold(both)
    assert best.value == 1.0
    assert 90 < best.threshold * 255 <= 100
    assert curves(both).best_dice == best
    assert max(curves(both).dice) == 1.0
