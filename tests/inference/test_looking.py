"""Slices far from the lungs are left out, and no lung is lost by it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.geometry import Geometry
from groundglass.inference.looking import (
    FIRST_LOOK_MM,
    LEAST_PROBABILITY,
    REACH_MM,
    look_near_lungs,
    may_show_lung,
    near_lungs,
)
from groundglass.inference.scan import scan_channels
from groundglass.inference.segment import SliceSegmenter
from groundglass.inference.zoom import Maps
from groundglass.phantom import make_chest
from groundglass.phantom.lung_free import make_abdomen
from groundglass.volume import CTVolume


class Scan:
    """A scan with lung in known slices, which notes what was looked at."""

    def __init__(self, lungs: set[int]) -> None:
        self.lungs = lungs
        self.seen: list[int] = []

    def look(self, numbers: list[int]) -> Iterator[Maps]:
        for number in numbers:
            self.seen.append(number)
            yield [np.zeros((8, 8), np.uint8), np.full((8, 8), 255 * (number in self.lungs), np.uint8)]


def _looked_at(slices: list[int], spacing: float, lungs: set[int]) -> Scan:
    scan = Scan(lungs)
    found = list(look_near_lungs(slices, spacing, scan.look, 1))
    assert [number for number, _ in found] == scan.seen
    assert len(set(scan.seen)) == len(scan.seen)
    return scan


@settings(deadline=None)
@given(
    count=st.integers(1, 400),
    spacing=st.sampled_from([0.6, 1.0, 2.0, 5.0, 10.0, 15.0]),
    every=st.integers(1, 3),
    start=st.floats(0, 1),
    height_mm=st.floats(FIRST_LOOK_MM, 300),
)
def test_every_slice_near_a_lung_is_looked_at(
    count: int, spacing: float, every: int, start: float, height_mm: float
) -> None:
    slices = list(range(0, count, every))
    first = int(start * count)
    lungs = set(range(first, min(count, first + int(height_mm / spacing) + every + 1)))
    scan = _looked_at(slices, spacing, lungs)
    near = {z for z in slices if any(abs(z - one) * spacing <= REACH_MM for one in lungs.intersection(slices))}
    assert near <= set(scan.seen) <= set(slices)


def test_a_long_scan_is_mostly_left_out() -> None:
    scan = _looked_at(list(range(1000)), 2.0, set(range(400, 500)))
    assert set(range(391, 509)) <= set(scan.seen)
    assert len(scan.seen) < 290


def test_a_scan_without_lungs_is_looked_at_here_and_there_up_to_its_last_slice() -> None:
    seen = _looked_at(list(range(100)), 2.0, set()).seen
    assert seen[0] == 0
    assert seen[-1] == 99
    assert max(np.diff(seen)) * 2.0 <= FIRST_LOOK_MM


@pytest.mark.parametrize("slices", [[], [0], [0, 1]])
def test_few_slices(slices: list[int]) -> None:
    assert sorted(_looked_at(slices, 1.0, set()).seen) == slices


def test_near_lungs_of_no_lungs() -> None:
    assert near_lungs([0, 1, 2], 1.0, []) == []
    assert near_lungs(range(0, 100, 5), 2.0, [50]) == [40, 45, 50, 55, 60]


def test_a_speck_is_no_lung() -> None:
    plane = np.zeros((100, 100), np.uint8)
    plane[0, :9] = 255
    assert not may_show_lung(plane)
    plane[0, 9] = LEAST_PROBABILITY
    assert may_show_lung(plane)


def test_lungs_of_a_scan_that_goes_on_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chest = make_chest(seed=5, shape=(128, 128, 60), spacing=(2.8, 2.8, 5.0)).volume
    belly = make_abdomen(seed=5, shape=(128, 128, 16), spacing=(2.8, 2.8, 5.0)).values
    values = np.asfortranarray(np.concatenate([*[belly] * 6, chest.values], axis=2))
    geometry = Geometry.from_spacing(values.shape, chest.geometry.spacing)
    long = CTVolume(values, geometry, chest.source)
    segmenter = SliceSegmenter()
    shown: list[int] = []
    stream = segmenter.stream

    def counting(slices: Iterator[np.ndarray], *, kind: str) -> Iterator[np.ndarray]:
        for result in stream(slices, kind=kind):  # type: ignore[arg-type]
            shown.append(1)
            yield result

    monkeypatch.setattr(segmenter, "stream", counting)
    short = scan_channels(chest, segmenter, progress=lambda done, total: None, wanted=("lung",))["lung"]
    few = len(shown)
    whole = scan_channels(long, segmenter, progress=lambda done, total: None, wanted=("lung",))["lung"]
    np.testing.assert_array_equal(whole[:, :, 96:] >= 128, short >= 128)
    left_out = whole[:, :, :80].max(axis=(0, 1)) == 0
    assert left_out.sum() >= 30
    assert few == 60
    assert len(shown) - few < 60 + 96 / 2 + 10
