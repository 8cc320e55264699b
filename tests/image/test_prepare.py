"""What the network is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.image.prepare import Preprocessing, equalise, resize, views, window_to_uint8

RECIPE = Preprocessing(size=64)


@given(st.floats(-2000, 3000), st.floats(-1500, 0), st.floats(1, 2000))
def test_window_maps_edges_to_black_and_white_and_keeps_order(hu: float, low: float, width: float) -> None:
    grey = window_to_uint8(np.array([[low - 1, low, hu, low + width, low + width + 1]]), low, low + width)[0]
    assert grey[0] == grey[1] == 0
    assert grey[3] == grey[4] == 255
    expected = 255 * min(max((hu - low) / width, 0), 1)
    assert abs(float(grey[2]) - expected) <= 0.51


def test_window_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the upper edge above"):
        window_to_uint8(np.zeros((2, 2)), 100.0, -100.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["hu", "picture"]))
def test_views_of_any_size_are_network_squares(rows: int, columns: int, kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (rows, columns))
    array = image.astype(np.int16) * 8 - 1024 if kind == "hu" else image.astype(np.uint8)
    shown = views(array, kind, RECIPE)  # type: ignore[arg-type]
    assert shown.shape == (len(RECIPE.mirrored(kind)), 64, 64)  # type: ignore[arg-type]
    assert shown.dtype == np.uint8


@pytest.mark.parametrize(("rows", "columns", "side"), [(128, 128, 64), (159, 40, 64), (160, 40, 96), (512, 512, 96)])
def test_coarse_slices_are_enlarged_less(rows: int, columns: int, side: int) -> None:
    recipe = Preprocessing(size=96, coarse_size=64)
    assert recipe.side_for(rows, columns) == side
    assert views(np.zeros((rows, columns), np.uint8), "picture", recipe).shape == (2, side, side)
    assert Preprocessing(size=96).side_for(rows, columns) == 96


def test_views_are_windowed_then_equalised() -> None:
    hu = np.linspace(-1250, 250, 64 * 64, dtype=np.float32).reshape(64, 64)
    expected = equalise(window_to_uint8(hu, -1250, 250), 7.0)
    np.testing.assert_array_equal(views(hu, "hu", RECIPE)[0], expected)


def test_first_view_of_a_picture_is_the_picture_itself() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8)
    shown = views(picture, "picture", RECIPE)
    np.testing.assert_array_equal(shown[0], picture)
    np.testing.assert_array_equal(shown[1], picture[:, ::-1])
    assert RECIPE.mirrored("picture") == (False, True)
    assert RECIPE.mirrored("hu") == (False,)


def test_values_that_are_not_finite_count_as_air_or_dense() -> None:
    hu = np.zeros((64, 64), np.float32)
    hu[:32] = np.nan
    clean = np.where(np.isnan(hu), -1024, hu).astype(np.float32)
    np.testing.assert_array_equal(views(hu, "hu", RECIPE), views(clean, "hu", RECIPE))


def test_input_is_not_changed() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (40, 50)).astype(np.uint8)
    before = picture.copy()
    views(picture, "picture", RECIPE)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5)])
def test_other_than_2d_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[row, column\]"):
        views(np.zeros(shape), "hu", RECIPE)


def test_a_picture_must_be_8_bit() -> None:
    with pytest.raises(ValueError, match="expected 8-bit grey"):
        views(np.zeros((4, 4), np.int16), "picture", RECIPE)


@pytest.mark.parametrize("shape", [(32, 32), (64, 200), (512, 512)])
def test_resize_keeps_a_constant(shape: tuple[int, int]) -> None:
    assert np.all(resize(np.full(shape, 77, np.uint8), 64, 64) == 77)
