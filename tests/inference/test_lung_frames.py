"""Crops to the lungs and back again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.image.prepare import Preprocessing
from groundglass.inference.lung_frames import LungFrames

RECIPE = Preprocessing(size=32, lung_margin=0.1)


def lung(top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
    plane = np.zeros((60, 80), np.uint8)
    plane[top:bottom, left:right] = 255
    return plane


def answer(images: list[NDArray[np.generic]], frames: LungFrames) -> list[NDArray[np.uint8]]:
    """A network that gives back what it is shown, at the size it is shown it."""
    return [next(frames.whole(np.asarray(view, np.uint8)[None])) for view in frames.shown(images)]


@settings(deadline=None)
@given(top=st.integers(0, 20), left=st.integers(0, 30), tall=st.integers(12, 40), wide=st.integers(12, 50))
def test_what_was_cropped_out_comes_back_to_its_place(top: int, left: int, tall: int, wide: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)
    mask = lung(top, top + tall, left, left + wide)
    (plane,) = answer([image], LungFrames(replace(RECIPE, lung_frame="slice"), [mask]))
    assert plane.shape == image.shape
    inside = mask > 0
    assert np.array_equal(plane[inside], image[inside])
    assert np.all((plane == image) | (plane == 0))
    assert np.count_nonzero(plane) <= 1.4 * tall * 1.4 * wide + 1


def test_one_box_for_a_volume_holds_all_lungs_and_slices_without_any() -> None:
    masks = [lung(5, 25, 5, 30), lung(30, 50, 40, 70), lung(0, 0, 0, 0)]
    frames = LungFrames(replace(RECIPE, lung_frame="volume", lung_margin=0.0), masks)
    shapes = {view.shape for view in frames.shown([np.ones((60, 80), np.uint8)] * 3)}
    assert len(shapes) == 1
    rows, columns = shapes.pop()
    assert (rows, columns) != (60, 80)
    assert 44 <= rows <= 47
    assert 64 <= columns <= 67


def test_one_box_for_a_volume_of_which_a_slice_is_filled_by_lungs() -> None:
    frames = LungFrames(replace(RECIPE, lung_frame="volume"), [lung(20, 40, 20, 50), lung(0, 60, 0, 80)])
    assert {view.shape for view in frames.shown([np.ones((60, 80), np.uint8)] * 2)} == {(60, 80)}


def test_a_slice_without_lungs_is_shown_whole() -> None:
    image = np.full((60, 80), 7, np.uint8)
    (plane,) = answer([image], LungFrames(replace(RECIPE, lung_frame="slice"), [lung(0, 0, 0, 0)]))
    assert np.array_equal(plane, image)


def test_everything_but_the_lungs_is_black_and_holes_in_them_are_not() -> None:
    mask = lung(10, 40, 10, 50)
    mask[20:25, 20:25] = 0
    recipe = replace(RECIPE, lungs_alone=True)
    (hu,) = LungFrames(recipe, [mask]).shown([np.full((60, 80), 50.0, np.float32)])
    assert hu[0, 0] == -1024.0
    assert hu[22, 22] == 50.0
    (grey,) = LungFrames(recipe, [mask]).shown([np.full((60, 80), 50, np.uint8)])
    assert grey.dtype == np.uint8
    assert grey[0, 0] == 0
    assert grey[30, 30] == 50


def test_without_lungs_slices_are_shown_as_they_are() -> None:
    image = np.arange(4800, dtype=np.int16).reshape(60, 80)
    (shown,) = LungFrames(replace(RECIPE, lung_frame="volume"), None).shown([image])
    assert np.array_equal(shown, image)
