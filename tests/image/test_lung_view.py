"""The part of a slice with the lungs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from groundglass.image.lung_view import Box, classifier_view, lung_box, lung_doubt

MARGINS = st.sampled_from([0.0, 0.05])


@given(
    st.integers(20, 60),
    st.integers(20, 60),
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 1.0),
    st.sampled_from([0.0, 0.05]),
)
def test_the_box_holds_all_but_the_stray_pixels(
    rows: int, columns: int, seed: int, share: float, margin: float
) -> None:
    chance = np.random.default_rng(seed)
    lung = np.zeros((rows, columns), np.uint8)
    top, left = int(chance.integers(0, rows - 10)), int(chance.integers(0, columns - 10))
    lung[top:, left:] = np.where(chance.random((rows - top, columns - left)) < share, 200, 0)
    y, x = np.nonzero(lung)
    found = lung_box(lung, margin=margin)
    if y.size < 0.01 * lung.size:
        assert found == Box(0, rows, 0, columns)
        return
    (low, high), (first, last) = (np.percentile(places, (0.5, 99.5)) for places in (y, x))
    tall, wide = margin * (high - low + 1), margin * (last - first + 1)
    expected = [max(0.0, low - tall), min(rows, high + 1 + tall), max(0.0, first - wide), min(columns, last + 1 + wide)]
    # Truncated to whole pixels outwards; a percentile on a whole pixel may differ in its last binary digit.
    for side, exact in zip((found.top, found.bottom, found.left, found.right), expected, strict=True):
        assert abs(side - exact) < 1.0 + 1e-6
    assert found.top <= expected[0] + 1e-6
    assert found.bottom >= expected[1] - 1e-6


def test_what_is_not_a_number_is_shown_as_air() -> None:
    lung = np.zeros((40, 40), np.uint8)
    lung[10:30, 5:35] = 255
    image = np.full((40, 40), -700.0, np.float32)
    image[15, 15], image[16, 16], image[17, 17] = np.nan, np.inf, -np.inf
    plain = image.copy()
    plain[15, 15], plain[16, 16], plain[17, 17] = -1024.0, 3071.0, -1024.0
    infection = np.full_like(lung, 90)
    view, box = classifier_view(image, lung, infection, size=32)
    again, same = classifier_view(plain, lung, infection, size=32)
    np.testing.assert_array_equal(view, again)
    assert box == same


def test_doubt_is_the_uncertain_share_of_what_may_be_lung() -> None:
    lung = np.zeros((10, 10), np.uint8)
    assert lung_doubt(lung) == 0.0
    lung[0, :4], lung[1, :4], lung[2, :4] = 25, 26, 228
    assert lung_doubt(lung) == 1.0
    lung[3], lung[4, :2] = 229, 255
    assert lung_doubt(lung) == 8 / 20
