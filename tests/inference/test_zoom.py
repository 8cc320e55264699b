"""Slices shown near to their lungs, and the answers back in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.geometry import Geometry
from groundglass.image.prepare import COARSE, Preprocessing
from groundglass.inference.scan import scan_channels, slice_channels
from groundglass.inference.segment import SliceSegmenter, at_own_size
from groundglass.inference.zoom import look_first, mean_of_looks, zoom_box
from groundglass.models.catalog import load_card
from groundglass.volume import CTVolume, Source
from tests.support.network import PLAIN, bright_network, with_card

RECIPE = Preprocessing(size=64, zoom=1.5, lung_margin=0.1)


def lung(top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
    """Lung on a grid of 100 x 100 cells."""
    plane = np.zeros((100, 100), np.uint8)
    plane[top:bottom, left:right] = 255
    return plane


def test_the_box_lies_around_all_lungs_and_has_the_proportions_of_the_slice() -> None:
    box = zoom_box([lung(40, 60, 10, 50), lung(30, 50, 40, 70), lung(0, 0, 0, 0)], 400, 800, RECIPE)
    assert box is not None
    # Columns 10..70 of 100 and a tenth of each lung's width on either side: 6..73, which is .67 of the width.
    assert box.left == pytest.approx(48, abs=10)
    assert box.right == pytest.approx(584, abs=10)
    assert (box.right - box.left) == pytest.approx(2 * (box.bottom - box.top), abs=2)
    assert (box.top + box.bottom) / 2 == pytest.approx(4 * 45, abs=4)


@pytest.mark.parametrize(
    ("found", "side"),
    [(lung(0, 0, 0, 0), 400), (lung(2, 98, 5, 95), 400), (lung(40, 60, 40, 60), COARSE), (lung(40, 60, 40, 60), 100)],
    ids=["no lungs", "filled by lungs", "just not coarse", "coarse"],
)
def test_shown_whole(found: NDArray[np.uint8], side: int) -> None:
    assert zoom_box([found], side, side, RECIPE) is None


def test_a_slice_filled_by_lungs_counts() -> None:
    assert zoom_box([lung(40, 60, 30, 60), lung(0, 100, 0, 100)], 400, 400, RECIPE) is None


def test_neither_enlarged_more_than_told_nor_to_less_than_a_coarse_slice_has() -> None:
    for side, shown in ((600, 400), (200, COARSE)):
        box = zoom_box([lung(80, 95, 3, 20)], side, side, RECIPE)
        assert box is not None
        assert (box.bottom - box.top, box.right - box.left) == (shown, shown)
        assert (box.bottom, box.left) == (side, 0)


@settings(deadline=None)
@given(
    top=st.integers(0, 80),
    left=st.integers(0, 80),
    tall=st.integers(12, 100),
    wide=st.integers(12, 100),
    rows=st.integers(60, 700),
    columns=st.integers(60, 700),
)
def test_every_box_lies_in_the_slice_and_holds_the_lungs(
    top: int, left: int, tall: int, wide: int, rows: int, columns: int
) -> None:
    bottom, right = min(100, top + tall), min(100, left + wide)
    box = zoom_box([lung(top, bottom, left, right)], rows, columns, RECIPE)
    if box is None:
        return
    assert 0 <= box.top <= rows * top / 100 + 1
    assert 0 <= box.left <= columns * left / 100 + 1
    assert rows * bottom / 100 - 1 <= box.bottom <= rows
    assert columns * right / 100 - 1 <= box.right <= columns
    assert (box.bottom - box.top) / rows == pytest.approx((box.right - box.left) / columns, abs=0.02)


@pytest.fixture
def segmenter(tmp_path: Path) -> SliceSegmenter:
    """Calls what is bright lung, at a level half-way between black and the grey of the tests' lungs."""
    recipe = replace(PLAIN, zoom=1.5, lung_margin=0.08)
    with_card(tmp_path, bright_network(level=100), ("lung",), name="bright", preprocessing=recipe)
    return SliceSegmenter(load_card("bright", tmp_path), threads=1)


def slices(count: int = 20, *, shift: int = 0) -> list[NDArray[np.uint8]]:
    """A volume of 320 x 320 pixels whose lung grows from slice to slice, and texture around it."""
    rng = np.random.default_rng(shift)
    around = rng.integers(0, 60, (320, 320)).astype(np.uint8)
    volume = []
    for number in range(count):
        image = around.copy()
        image[92 : 171 + number, 43 + shift : 151 + shift + 2 * number] = 200
        volume.append(image)
    return volume


def wrong(plane: NDArray[np.uint8], truth: NDArray[np.bool_]) -> int:
    """Pixels that are called wrongly."""
    return int(np.count_nonzero((plane >= 128) != truth))


def assert_in_place(plane: NDArray[np.uint8], truth: NDArray[np.bool_]) -> None:
    """Centre and edges to half a pixel of the network, which is three to five pixels of the slice."""
    assert plane.shape == truth.shape
    for axis in (0, 1):
        (found,), (known,) = np.nonzero((plane >= 128).any(axis)), np.nonzero(truth.any(axis))
        assert found.mean() == pytest.approx(known.mean(), abs=2.0)
        assert len(found) == pytest.approx(len(known), abs=5.0)


def test_what_is_found_lies_where_it_is_and_is_finer_than_in_the_whole_slice(segmenter: SliceSegmenter) -> None:
    images = slices()
    first = look_first(images, "picture", segmenter)
    assert len(set(first.boxes)) == 1
    assert first.boxes[0] is not None
    assert set(first.found) == set(range(0, 20, 2))
    planes = [own["lung"] for own in slice_channels(images, "picture", segmenter)]
    whole = [at_own_size(maps[0], 320, 320) for maps in segmenter.stream(images, kind="picture")]
    for plane, image in zip(planes, images, strict=True):
        assert_in_place(plane, image == 200)
    # Not those of the first look, which are a mean of both.
    near, far = (
        sum(wrong(plane, image == 200) for plane, image in zip(found, images[1::2], strict=True))
        for found in (planes[1::2], whole[1::2])
    )
    assert near < 0.8 * far


def test_two_volumes_in_a_row_have_a_box_each(segmenter: SliceSegmenter) -> None:
    images = [*slices(9), *slices(9, shift=110)]
    boxes = look_first(images, "picture", segmenter).boxes
    assert len(set(boxes[:9])) == len(set(boxes[9:])) == 1
    assert boxes[0] != boxes[9]
    found = [own["lung"] for own in slice_channels(images, "picture", segmenter)]
    for plane, image in zip(found, images, strict=True):
        assert_in_place(plane, image == 200)


def test_a_slice_filled_by_lungs_is_looked_at_once(segmenter: SliceSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, ...]] = []
    stream = segmenter.stream

    def noting(images: list[NDArray[np.uint8]], *, kind: str) -> object:
        for image in (listed := list(images)):
            shown.append(image.shape)
        return stream(listed, kind=kind)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "stream", noting)
    full = np.full((200, 300), 200, np.uint8)
    (own,) = slice_channels([full], "picture", segmenter)
    assert shown == [(200, 300)]
    assert (own["lung"] == 255).all()


def test_a_scan_is_shown_near_its_lungs(segmenter: SliceSegmenter) -> None:
    # Tissue is brighter than the network's level, so "lung" is a block of tissue in air: what counts is its place.
    values = np.full((320, 320, 30), -1000, np.int16)
    truth = np.zeros(values.shape, bool)
    truth[63:198, 121:232, 4:25] = True
    values[truth] = 40
    geometry = Geometry.from_spacing(values.shape, (1.0, 1.0, 4.0))
    volume = CTVolume(np.asfortranarray(values), geometry, Source("block", "array", geometry))
    found = scan_channels(volume, segmenter, progress=lambda *_: None)["lung"] >= 128
    card = replace(segmenter.card, preprocessing=replace(segmenter.card.preprocessing, zoom=1.0))
    whole = scan_channels(volume, SliceSegmenter(card, threads=1), progress=lambda *_: None)["lung"] >= 128
    for axes in ((0, 1), (0, 2), (1, 2)):
        (place,), (known,) = np.nonzero(found.any(axes)), np.nonzero(truth.any(axes))
        assert place.mean() == pytest.approx(known.mean(), abs=2.0)
        assert len(place) == pytest.approx(len(known), abs=5.0)
    assert np.count_nonzero(found != truth) < 0.9 * np.count_nonzero(whole != truth)


def test_the_mean_of_two_looks() -> None:
    first, second = (np.full((2, 3), value, np.uint8) for value in (10, 21))
    assert mean_of_looks([first])[0] is first
    np.testing.assert_array_equal(mean_of_looks([first], [second])[0], np.full((2, 3), 16, np.uint8))
