"""Slices that follow each other, smoothed from one to the next."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from groundglass.inference import scan
from groundglass.inference.segment import SliceSegmenter
from groundglass.inference.zoom import look_first


def chest(lung_hu: float) -> np.ndarray:
    """A slice in Hounsfield units: a body in the scanner's round field of view, around which values mean nothing."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    hu = np.full((64, 64), 40.0)
    hu[abs(x) + abs(y) < 0.8] = lung_hu
    hu[x**2 + y**2 > 1] = -8192
    return hu.astype(np.int16)


@pytest.mark.parametrize(("second", "smoothed"), [(-900.0, True), (40.0, False)])
def test_slices_in_hounsfield_units_are_smoothed_as_their_pictures_are(
    second: float, smoothed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [chest(-900.0), chest(second)]
    found = [np.full((64, 64), 200, np.uint8), np.zeros((64, 64), np.uint8)]
    monkeypatch.setattr(scan, "slice_channels", lambda *_, **__: iter([{"lung": one} for one in found]))
    done = []
    network = SliceSegmenter(threads=1)
    maps = scan.smoothed_channels(images, "hu", network, progress=lambda *told: done.append(told))
    assert done == [(1, 2), (2, 2)]
    # As stored, the corners would make any two slices alike. A neighbour that looks the same counts .6 against 1.
    assert int(maps[1]["lung"][0, 0]) == (75 if smoothed else 0)


def test_slices_of_two_people_are_two_volumes_whatever_lies_around_them() -> None:
    first, second = (cv2.resize(chest(hu), (320, 320), interpolation=cv2.INTER_NEAREST) for hu in (-900.0, 40.0))
    found = look_first([first] * 20 + [second] * 20, "hu", SliceSegmenter(threads=1)).found
    assert sorted(found) == list(range(0, 40, 2))  # of one volume of 40 slices every fifth
