"""Segmentation of slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from groundglass.inference.segment import FULL, SliceSegmenter, at_own_size, threshold_level
from groundglass.models.catalog import load_card
from groundglass.training.sample import INFECTION, LUNG
from groundglass.training.sources import research
from tests.support.network import PLAIN, bright_network, with_card

LUNG_FLOOR, INFECTION_FLOOR = 0.96, 0.65


@pytest.fixture(scope="module")
def segmenter() -> SliceSegmenter:
    return SliceSegmenter()


def _chest(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    hu = np.full((size, size), -1000, np.int16)
    hu[(x / 0.85) ** 2 + (y / 0.6) ** 2 < 1] = 40
    for side in (-0.4, 0.4):
        hu[((x - side) / 0.27) ** 2 + (y / 0.42) ** 2 < 1] = -850
    return hu


def test_shapes_and_progress(segmenter: SliceSegmenter) -> None:
    seen: list[int] = []
    result = segmenter.probabilities([_chest(), _chest(130)], kind="hu", progress=seen.append)
    assert result.shape == (2, len(segmenter.card.channels), segmenter.size, segmenter.size)
    assert result.dtype == np.uint8
    assert seen == [1, 2]


def test_what_is_found_in_a_coarse_slice_lies_where_it_is(tmp_path: Path) -> None:
    weights = with_card(
        tmp_path,
        bright_network(96, outputs=2),
        ["lung", "infection"],
        preprocessing=replace(PLAIN, size=96, coarse_size=64),
    )
    own = SliceSegmenter(load_card(weights.stem, weights.parent))
    slices = []
    for size in (384, 96, 768):
        hu = np.full((size, size), -1000, np.int16)
        hu[size // 8 : size // 2, size // 4 : size * 7 // 8] = 0
        slices.append(hu)
    truth = np.zeros((96, 96), bool)
    truth[12:48, 24:84] = True
    assert [own.card.preprocessing.side_for(*one.shape) for one in slices] == [96, 64, 96]
    for found in own.stream(slices, kind="hu"):
        assert found.shape == (2, 96, 96)
        np.testing.assert_array_equal(found[0] >= 128, truth)


def test_no_slices(segmenter: SliceSegmenter) -> None:
    assert segmenter.probabilities([], kind="hu").shape[0] == 0


def test_a_mirrored_picture_has_the_mirrored_answer(segmenter: SliceSegmenter) -> None:
    rng = np.random.default_rng(0)
    grey = np.clip((_chest(segmenter.size) + 1250) / 6 + rng.normal(0, 5, (segmenter.size,) * 2), 0, 255).astype(
        np.uint8
    )
    first, second = segmenter.probabilities([grey, np.ascontiguousarray(grey[:, ::-1])], kind="picture")
    assert abs(first.astype(int) - second[:, :, ::-1]).max() <= 1
    assert first[0].max() > 200


def test_order_is_kept(segmenter: SliceSegmenter) -> None:
    air = np.full((64, 64), -1000, np.int16)
    result = segmenter.probabilities([_chest(), air, _chest()], kind="hu")
    np.testing.assert_array_equal(result[0], result[2])
    assert (result[0] != result[1]).any()


@pytest.mark.parametrize("level", [-1000, -800, 40])
def test_a_constant_slice_has_no_lungs(segmenter: SliceSegmenter, level: int) -> None:
    result = segmenter.probabilities([np.full((128, 128), level, np.int16)], kind="hu")
    assert (result[0, 0] >= threshold_level(0.5)).mean() < 0.005


def test_threshold_and_own_size() -> None:
    assert threshold_level(0.5) == 128
    assert threshold_level(1.0) == FULL
    assert at_own_size(np.full((64, 64), 9, np.uint8), 33, 70).shape == (33, 70)


def test_unseen_patients_stay_above_the_floor(segmenter: SliceSegmenter, shared_data: Path) -> None:
    pytest.importorskip("sklearn")
    from groundglass.training.score import dice_by_group

    infected = list(research.medseg(shared_data, held_out=True, size=segmenter.size))
    chests = list(research.lung2d(shared_data, held_out=True))
    for samples, channel, floor in ((chests, LUNG, LUNG_FLOOR), (infected, INFECTION, INFECTION_FLOOR)):
        assert fmean(dice_by_group(segmenter, samples, channel).values()) > floor
