from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from groundglass.image.morphology import (
    bounding_box,
    bridge_slices,
    close_plane,
    components,
    ellipse,
    holes_of_slices,
    holes_plane,
    majority_along_slices,
    remove_islands,
    without_islands,
)


def test_majority_drops_a_flicker_and_fills_a_gap() -> None:
    stack = np.zeros((6, 1, 2), np.uint8)
    stack[2, 0, 0] = 1
    stack[:, 0, 1] = 1
    stack[3, 0, 1] = 0
    smoothed = majority_along_slices(stack)
    assert not smoothed[:, 0, 0].any()
    assert smoothed[:, 0, 1].all()


def test_bridge_only_adds() -> None:
    stack = np.array([1, 0, 1, 0, 0, 1], np.uint8).reshape(6, 1, 1)
    assert bridge_slices(stack).ravel().tolist() == [1, 1, 1, 0, 0, 1]


def test_thin_stacks_stay_as_they_are() -> None:
    stack = np.ones((2, 3, 3), np.uint8)
    assert majority_along_slices(stack) is stack
    assert bridge_slices(stack) is stack


def test_ellipse_has_the_radii_asked_for() -> None:
    element = ellipse(2.0, 5.0)
    assert element.shape == (5, 11)
    assert element[2].all()
    assert element[:, 5].all()
    assert element[0, 0] == 0
    assert ellipse(0.2, 0.0).shape == (1, 1)


def test_closing_bridges_a_cleft_and_leaves_the_border_alone() -> None:
    plane = np.zeros((20, 30), np.uint8)
    plane[5:15, 0:12] = 1
    plane[5:15, 14:25] = 1
    closed = close_plane(plane, ellipse(3, 3))
    assert closed[7:13, 12:14].all()
    assert not closed[:5].any()
    assert not closed[:, 25:].any()
    assert close_plane(plane * 0, ellipse(3, 3)).sum() == 0


def test_holes() -> None:
    plane = np.ones((7, 9), np.uint8)
    plane[2:4, 3:5] = 0
    plane[0, 6:8] = 0
    holes = holes_plane(plane)
    assert np.argwhere(holes).tolist() == [[2, 3], [2, 4], [3, 3], [3, 4]]
    stack = np.stack([plane * 0, plane, plane])
    assert holes_of_slices(stack).sum(axis=(1, 2)).tolist() == [0, 4, 4]


def test_components_of_labels_are_apart() -> None:
    labels, sizes = components(np.array([[1, 1, 2], [0, 0, 2]], np.uint8), connectivity=4)
    assert sorted(sizes.tolist()) == [2, 2, 2]
    assert labels[0, 0] != labels[0, 2]


def test_islands() -> None:
    stack = np.zeros((5, 5, 5), np.uint8)
    stack[0, 0, 0:3] = 1
    stack[4, 4, 3:5] = 1
    assert without_islands(stack, 3).sum() == 3
    assert without_islands(stack, 6).sum() == 0
    assert without_islands(stack, 1) is stack
    kept = stack.copy()
    remove_islands(kept, 3)
    np.testing.assert_array_equal(kept, without_islands(stack, 3))


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, (4, 6, 5), elements=st.integers(0, 1)))
def test_bounding_box_is_the_smallest(stack: NDArray[np.uint8]) -> None:
    box = bounding_box(stack)
    if box is None:
        assert not stack.any()
        return
    assert stack[box].sum() == stack.sum()
    for axis in range(3):
        for end in (0, -1):
            assert np.take(stack[box], end, axis=axis).any()
