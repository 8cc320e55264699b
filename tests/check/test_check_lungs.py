from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.check import check_lungs
from groundglass.volume import CTVolume
from tests.support.chest import Chest, lungs_of, volume_of


@pytest.fixture(scope="module")
def chest() -> tuple[CTVolume, NDArray[np.uint8]]:
    return Chest().build()


def codes(volume: CTVolume, labels: NDArray[np.uint8]) -> list[str]:
    return [finding.code for finding in check_lungs(volume, lungs_of(volume, labels))]


def test_good_lungs(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    assert codes(*chest) == []


def test_no_lungs_is_an_error(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    volume, labels = chest
    (finding,) = check_lungs(volume, lungs_of(volume, labels * 0))
    assert (finding.code, finding.severity) == ("no-lungs", "error")
    assert finding.action


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (np.s_[:, :, :45], "lungs-cut-top"),
        (np.s_[:, :, 35:], "lungs-cut-bottom"),
        (np.s_[25:-25, :, :], "lungs-cut-side"),
        (np.s_[:, 20:-20, :], "lungs-cut-side"),
    ],
)
def test_cut_off(chest: tuple[CTVolume, NDArray[np.uint8]], part: tuple[slice, ...], code: str) -> None:
    volume, labels = chest
    cut = volume_of(volume.values[part], spacing=volume.geometry.spacing)
    assert codes(cut, labels[part]) == [code]


def test_names_the_lung_that_is_cut(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    volume, labels = chest
    part = np.s_[:-25, :, :]
    cut = volume_of(volume.values[part], spacing=volume.geometry.spacing)
    (finding,) = check_lungs(cut, lungs_of(cut, labels[part]))
    assert "right lung is" in finding.text


@pytest.mark.parametrize(("scale", "code"), [(0.5, "lung-volume-small"), (1.3, "lung-volume-large")])
def test_volume(chest: tuple[CTVolume, NDArray[np.uint8]], scale: float, code: str) -> None:
    volume, labels = chest
    x, y, z = volume.geometry.spacing
    other = volume_of(volume.values, spacing=(x * scale, y * scale, z * scale))
    assert codes(other, labels) == [code]


def test_a_short_scan_is_not_blamed_for_its_volume(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    volume, labels = chest
    part = np.s_[:, :, 40:43]
    few = volume_of(volume.values[part], spacing=volume.geometry.spacing)
    assert codes(few, labels[part]) == ["lungs-cut-top", "lungs-cut-bottom"]


def test_one_lung(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    volume, labels = chest
    (finding,) = check_lungs(volume, lungs_of(volume, np.where(labels == 2, 0, labels)))
    assert finding.code == "one-lung"
    assert "right" in finding.text


def test_unequal_lungs(chest: tuple[CTVolume, NDArray[np.uint8]]) -> None:
    volume, labels = chest
    shrunken = labels.copy()
    shrunken[:, :, 30:][labels[:, :, 30:] == 2] = 0
    assert codes(volume, shrunken) == ["lungs-unequal"]
