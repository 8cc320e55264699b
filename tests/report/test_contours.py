from __future__ import annotations

import re

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from groundglass.report.contours import polygons, svg_path


def filled(outlines: list[np.ndarray], shape: tuple[int, int], scale: int) -> np.ndarray:
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), np.uint8)
    points = [np.rint(outline * scale - 0.5).astype(np.int32) for outline in outlines]
    cv2.fillPoly(canvas, points, 1)
    return canvas


def test_a_disc_keeps_place_and_area() -> None:
    y, x = np.mgrid[:40, :60]
    disc = (x - 35) ** 2 + (y - 18) ** 2 <= 12**2
    outlines = polygons(disc)
    assert len(outlines) == 1
    area = cv2.contourArea(outlines[0])
    assert abs(area - disc.sum()) / disc.sum() < 0.04
    centre = outlines[0].mean(axis=0)
    assert np.allclose(centre, (35.5, 18.5), atol=0.6), "the first pixel spans 0..1"


def test_holes_stay_holes() -> None:
    ring = np.zeros((30, 30), bool)
    ring[4:26, 4:26] = True
    ring[11:19, 11:19] = False
    painted = filled(polygons(ring), ring.shape, 8)
    assert painted[15 * 8, 15 * 8] == 0
    assert painted[7 * 8, 7 * 8] == 1


def test_a_single_pixel_and_a_full_frame_are_drawn() -> None:
    lone = np.zeros((9, 9), bool)
    lone[0, 8] = True
    (outline,) = polygons(lone)
    assert np.abs(outline.mean(axis=0) - (8.5, 0.5)).max() < 0.3
    (frame,) = polygons(np.ones((5, 7), bool))
    assert np.abs(frame.max(axis=0) - (7, 5)).max() < 0.4
    assert np.abs(frame.min(axis=0)).max() < 0.4


def test_nothing_gives_nothing() -> None:
    assert polygons(np.zeros((5, 5), bool)) == []
    assert svg_path([]) == ""


@given(hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_filled_outlines_cover_the_pixel_centres(mask: np.ndarray) -> None:
    outlines = polygons(mask)
    assert bool(outlines) == bool(mask.any())
    painted = filled(outlines, mask.shape, 9)[4::9, 4::9].astype(bool)
    assert np.array_equal(painted, mask)


def test_path_can_be_read_back() -> None:
    y, x = np.mgrid[:40, :60]
    disc = (x - 35) ** 2 + (y - 18) ** 2 <= 12**2
    (outline,) = polygons(disc)
    path = svg_path([outline])
    assert re.fullmatch(r"M[\d.]+ [\d.]+l[-\d. ]+z", path)
    numbers = np.array([float(word) for word in re.findall(r"-?\d+(?:\.\d)?", path)]).reshape(-1, 2)
    assert np.allclose(numbers.cumsum(axis=0), outline, atol=0.051)
