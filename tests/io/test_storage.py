"""How the values of a scan are stored: whole numbers in 16 bits, anything else as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import groundglass as gg
from groundglass.io.convert import from_array

SPACING = (1.0, 1.0, 2.0)


def stored(array: NDArray[Any]) -> NDArray[Any]:
    volume = from_array(array, spacing=SPACING)
    assert volume.values.dtype in (np.int16, np.float32)
    assert volume.axial(0).dtype == np.float32
    return volume.values


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-40000, 70000), min_size=1, max_size=30),
    st.sampled_from([np.int16, np.int32, np.uint16, np.float32, np.float64]),
    st.sampled_from([0.0, 0.5]),
)
def test_no_value_is_changed(values: list[int], kind: type, part: float) -> None:
    array: NDArray[Any] = np.zeros((3, 4, len(values)), kind)
    array[1, 2] = (np.array(values, np.float64) + (part if np.dtype(kind).kind == "f" else 0.0)).astype(kind)
    found = stored(array)
    assert np.array_equal(found.astype(np.float64), array.astype(np.float32).astype(np.float64))
    whole = np.array_equal(array, np.rint(array)) and array.min() >= -32768 and array.max() <= 32767
    assert (found.dtype == np.int16) == whole


def test_one_odd_value_at_the_end_keeps_all(tmp_path: Path) -> None:
    array = np.full((4, 4, 40), -800.0)
    array[0, 0, 39] = 0.25
    assert stored(array)[0, 0, 39] == 0.25
    array[0, 0, 39] = np.nan
    volume = from_array(array, spacing=SPACING)
    assert volume.values[0, 0, 39] == -1024
    assert [finding.code for finding in volume.findings] == ["non-finite-voxels"]


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_both_ways_of_storing_give_the_same_result(kind: type, tmp_path: Path) -> None:
    from tests.support.thorax import small_chest

    chest = np.rint(small_chest().volume.values)
    image = nibabel.Nifti1Image(chest.astype(kind), small_chest().volume.geometry.affine)
    whole = gg.read(image)
    assert isinstance(whole, gg.CTVolume)
    assert whole.values.dtype == np.int16
    as_float = gg.CTVolume(np.asarray(whole.values, np.float32, order="F"), whole.geometry, whole.source)
    one, other = gg.analyze(whole), gg.analyze(as_float)
    assert one.measurements == other.measurements
    assert isinstance(one, gg.AnalysisResult)
    assert isinstance(other, gg.AnalysisResult)
    assert np.array_equal(one.infection.labels, other.infection.labels)
