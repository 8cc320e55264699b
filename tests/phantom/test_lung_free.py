"""Scans without lungs and scans in wrong units."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage

from groundglass.phantom import Phantom
from groundglass.phantom.lung_free import make_abdomen, make_air, make_head, make_noise
from groundglass.phantom.wrong_units import WrongUnits, as_picture, with_wrong_units
from groundglass.volume import CTVolume


@pytest.mark.parametrize("make", [make_abdomen, make_head, make_noise, make_air])
def test_lung_free_scans_are_deterministic_and_in_range(make: Callable[[int], CTVolume]) -> None:
    volume = make(3)
    assert (make(3).values == volume.values).all()
    assert (make(4).values != volume.values).any()
    assert volume.values.min() >= -1024
    assert volume.values.max() <= 3071
    assert volume.geometry.orientation == "RAS"


def test_the_abdomen_has_organs_bone_and_gas_but_no_lung() -> None:
    values = make_abdomen(1).values
    assert np.mean((values > 0) & (values < 100)) > 0.1
    assert np.mean(values > 300) > 0.001
    body = ndimage.binary_opening(values > -300, iterations=2)
    inside = np.stack([ndimage.binary_fill_holes(body[:, :, z]) for z in range(values.shape[2])], axis=2)
    lung_like = ndimage.binary_opening(inside & (values > -950) & (values < -700), iterations=2)
    assert not lung_like.any()


def test_the_head_has_a_skull_around_a_brain() -> None:
    volume = make_head(1)
    x, y, z = volume.geometry.index((0, 0, 120)).round().astype(int)
    assert volume.values[x - 3 : x + 4, y - 12 : y - 5, z].mean() == pytest.approx(31, abs=8)
    assert volume.values[x, :, z].max() > 700


def test_pictures_are_windowed_slices_seen_from_the_feet(phantom: Phantom) -> None:
    picture = as_picture(phantom, 20)
    assert picture.dtype == np.uint8
    assert picture.shape == phantom.volume.axial(20).shape
    dark, bright = phantom.volume.axial(20) < -1350 + 1, phantom.volume.axial(20) > 150
    assert (picture[dark] == 0).all()
    assert (picture[bright] == 255).all()
    soft = as_picture(phantom.volume, 20, centre=40, width=400)
    assert (soft[phantom.volume.axial(20) < -160] == 0).all()


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("0-255", 0, 255),
        ("0-1", 0, 1),
        ("shifted by 1024", 0, 4095),
        ("unsigned wrap", 0, 65535),
        ("clipped at zero", 0, 3071),
    ],
)
def test_wrong_units_have_their_range(phantom: Phantom, kind: WrongUnits, low: float, high: float) -> None:
    values = with_wrong_units(phantom, kind).values
    assert values.dtype == np.float32
    assert low <= values.min()
    assert values.max() <= high
    assert kind in get_args(WrongUnits)


def test_shifted_and_wrapped_values_can_be_undone(phantom: Phantom) -> None:
    hu = phantom.volume.values
    assert (with_wrong_units(phantom, "shifted by 1024").values - 1024 == hu).all()
    wrapped = with_wrong_units(phantom, "unsigned wrap").values.astype(np.int64)
    assert (np.where(wrapped > 32767, wrapped - 65536, wrapped) == hu).all()
