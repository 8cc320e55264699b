"""Square fields of view and slice sampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.image.spatial import (
    SquareField,
    fill_between,
    runs_alike,
    slices_to_look_at,
    smooth_across,
    smooth_alike,
)

SIZE = st.integers(1, 60)
SPACING = st.floats(0.3, 5.0)


@given(rows=SIZE, columns=SIZE, row_mm=SPACING, column_mm=SPACING)
def test_padding_is_undone_exactly(rows: int, columns: int, row_mm: float, column_mm: float) -> None:
    image = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    field = SquareField.of(rows, columns, row_mm, column_mm)
    padded = field.pad(image, -1.0)
    assert padded.shape == field.padded_shape
    np.testing.assert_array_equal(field.crop(padded), image)


def test_a_wide_slice_gets_rows_until_it_is_square_in_millimetres() -> None:
    field = SquareField.of(100, 300, 2.0, 1.0)  # 200 x 300 mm
    assert field.padded_shape == (150, 300)
    padded = field.pad(np.ones((100, 300)), -1024.0)
    assert padded[0, 0] == -1024.0
    assert padded[75, 0] == 1.0


def test_nearly_square_is_left_alone() -> None:
    assert SquareField.of(512, 512, 0.7, 0.71).padded_shape == (512, 512)


@pytest.mark.parametrize(
    ("count", "spacing", "expected"),
    [(4, 2.0, [0, 1, 2, 3]), (5, 0.8, [0, 2, 4]), (6, 0.8, [0, 2, 4, 5]), (7, 0.5, [0, 3, 6]), (1, 0.5, [0])],
)
def test_thin_slices_are_sampled_and_the_last_one_is_kept(count: int, spacing: float, expected: list[int]) -> None:
    assert slices_to_look_at(count, spacing) == expected


def test_planes_between_are_interpolated() -> None:
    planes = np.zeros((4, 1, 2), np.uint8)
    planes[0], planes[3] = [[30, 0]], [[60, 90]]
    fill_between(planes, [0, 3])
    assert planes[:, 0].tolist() == [[30, 0], [40, 30], [50, 60], [60, 90]]


def test_smoothing_across_keeps_constants_and_shares_a_flicker() -> None:
    planes = np.full((5, 2, 2), 100, np.uint8)
    smooth_across(planes, 2.0)
    assert np.all(planes == 100)
    planes = np.zeros((5, 1, 1), np.uint8)
    planes[2] = 200
    smooth_across(planes, 2.0)
    weight = np.exp(-0.5 * (2.0 / 1.5) ** 2)
    expected = 200 * np.array([0, weight, 1, weight, 0]) / (1 + 2 * weight)
    np.testing.assert_allclose(planes.ravel(), expected, atol=1.01)


def test_planes_far_apart_are_not_smoothed() -> None:
    planes = np.random.default_rng(0).integers(0, 255, (4, 3, 3)).astype(np.uint8)
    before = planes.copy()
    smooth_across(planes, 5.0)
    np.testing.assert_array_equal(planes, before)


def picture(seed: int, shape: tuple[int, int] = (80, 90)) -> NDArray[np.uint8]:
    """Smooth clouds, other ones for every seed."""
    rng = np.random.default_rng(seed)
    return np.asarray(cv2.resize(rng.integers(0, 256, (6, 6)).astype(np.uint8), shape[::-1]), dtype=np.uint8)


def spread(level: int, shape: tuple[int, int] = (80, 90)) -> dict[str, NDArray[np.uint8]]:
    """Maps of one value."""
    return {"lung": np.full(shape, level, np.uint8), "infection": np.full(shape, level // 2, np.uint8)}


def test_pictures_alike_are_smoothed_by_hand_computed_weights() -> None:
    same = picture(1)
    maps = [spread(0), spread(220), spread(0), spread(0)]
    smooth_alike(maps, [same, same.copy(), same.copy(), same.copy()])
    # A neighbour counts .6: 220 * .6 / 1.6, 220 / 2.2, 220 * .6 / 2.2, 0; half of each for infection.
    assert [int(one["lung"][3, 4]) for one in maps] == [82, 100, 60, 0]
    assert [int(one["infection"][3, 4]) for one in maps] == [41, 50, 30, 0]


def test_pictures_of_others_keep_their_own_maps() -> None:
    shapes = [(80, 90), (80, 90), (64, 64), (80, 90)]
    pictures = [picture(seed, shape) for seed, shape in enumerate(shapes)]
    maps = [spread(200, shape) if index % 2 else spread(0, shape) for index, shape in enumerate(shapes)]
    smooth_alike(maps, pictures)
    assert [int(one["lung"][0, 0]) for one in maps] == [0, 200, 0, 200]
    flat = [np.full((80, 90), 7, np.uint8)] * 2
    maps = [spread(0), spread(200)]
    smooth_alike(maps, flat)
    assert [int(one["lung"][0, 0]) for one in maps] == [0, 200]
    smooth_alike([], [])


def test_the_same_picture_in_another_size_is_a_stranger() -> None:
    first, second = picture(3), picture(3, (160, 180))
    maps = [spread(0), spread(220, (160, 180)), spread(0, (160, 180))]
    smooth_alike(maps, [first, second, second.copy()])
    assert [int(one["lung"][0, 0]) for one in maps] == [0, 138, 82]


@given(levels=st.lists(st.integers(0, 255), min_size=2, max_size=6), noise=st.integers(0, 60), seed=st.integers(0, 50))
def test_smoothing_alike_stays_within_the_neighbours(levels: list[int], noise: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [np.clip(picture(seed) + rng.normal(0, noise + 1e-3, (80, 90)), 0, 255).astype(np.uint8) for _ in levels]
    maps = [spread(level) for level in levels]
    smooth_alike(maps, pictures)
    for index, one in enumerate(maps):
        near = levels[max(0, index - 1) : index + 2]
        assert min(near) - 1 <= int(one["lung"].min()) <= int(one["lung"].max()) <= max(near) + 1


def test_runs_of_slices_that_follow_each_other() -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 255, (40, 50)).astype(np.uint8) for _ in range(2))
    wider = np.pad(second, ((0, 0), (0, 1)))
    assert runs_alike([first, first, second, second, second, wider, first]) == [
        range(2),
        range(2, 5),
        range(5, 6),
        range(6, 7),
    ]
    assert runs_alike([first]) == [range(1)]
    assert runs_alike([]) == []
