"""Square fields of view and slice sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.image.spatial import SquareField, fill_between, slices_to_look_at, smooth_across

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
