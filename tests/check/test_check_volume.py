from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.check import check_volume
from groundglass.finding import Finding
from groundglass.geometry import Geometry, Vector3
from groundglass.volume import CTVolume, Source
from tests.support.chest import AIR, BONE, TISSUE, Chest, volume_of

GOOD = Chest(spacing=(2.5, 2.5, 3.0))


@pytest.fixture(scope="module")
def good() -> CTVolume:
    return GOOD.build()[0]


def codes(volume: CTVolume) -> list[str]:
    return [finding.code for finding in check_volume(volume)[1]]


def float_values(volume: CTVolume) -> NDArray[np.float32]:
    return volume.values.astype(np.float32)


def changed(volume: CTVolume, values: NDArray[np.generic], spacing: Vector3 | None = None) -> CTVolume:
    return volume_of(values, spacing=spacing or volume.geometry.spacing)


def test_a_good_scan_has_no_finding(good: CTVolume) -> None:
    checked, findings = check_volume(good)
    assert findings == []
    assert checked is good


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda hu: hu + 1024, "hu-shifted"),
        (lambda hu: np.clip(hu + 1024, 0, 4095), "hu-shifted"),
        (lambda hu: np.where(np.rint(hu) < 0, np.rint(hu) + 65536, np.rint(hu)), "hu-wrapped"),
    ],
)
def test_exact_repairs(good: CTVolume, change: Callable[[NDArray[np.float32]], NDArray[np.float32]], code: str) -> None:
    hu = np.clip(float_values(good), -1024, 3000)
    checked, findings = check_volume(changed(good, change(hu)))
    assert [finding.code for finding in findings] == [code]
    assert findings[0].severity == "warning"
    assert checked.units == "HU"
    np.testing.assert_allclose(checked.values, hu, atol=0.51)


def test_wrapped_and_shifted_values_are_repaired_together(good: CTVolume) -> None:
    stored = np.rint(np.clip(good.values, -1024, 3000)) + 1024
    stored[:2] = -16.0  # padding below zero wraps
    checked, findings = check_volume(changed(good, np.where(stored < 0, stored + 65536, stored)))
    assert {finding.code for finding in findings} == {"hu-wrapped", "hu-shifted"}
    np.testing.assert_allclose(checked.values[2:], np.clip(good.values, -1024, 3000)[2:], atol=0.51)


@pytest.mark.parametrize(
    ("low", "high", "code"),
    [(0.0, 1.0, "values-normalised"), (-1.0, 1.0, "values-normalised"), (0.0, 255.0, "values-8-bit")],
)
def test_grey_copies(good: CTVolume, low: float, high: float, code: str) -> None:
    window = np.clip((good.values + 1250) / 1500, 0, 1)
    checked, findings = check_volume(changed(good, low + window * (high - low)))
    assert [finding.code for finding in findings] == [code]
    assert checked.units == "grey"
    np.testing.assert_allclose(checked.values, window * 255, atol=0.01)


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        (lambda hu: np.clip(hu, -160, 240), "hu-clipped-low", "error"),
        (lambda hu: np.clip(hu, -1250, 250), "hu-clipped-high", "warning"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "values-not-hu", "error"),
        (lambda hu: np.abs(hu) * 40 + 5000, "values-not-hu", "error"),
        (lambda hu: np.zeros_like(hu), "constant-image", "error"),
        (lambda hu: np.full_like(hu, -1024), "constant-image", "error"),
        (lambda hu: np.random.default_rng(1).normal(0, 400, hu.shape), "noise-image", "error"),
    ],
)
def test_values_that_cannot_be_repaired(
    good: CTVolume, change: Callable[[NDArray[np.float32]], NDArray[np.float32]], code: str, severity: str
) -> None:
    checked, findings = check_volume(changed(good, change(float_values(good))))
    assert [(finding.code, finding.severity) for finding in findings] == [(code, severity)]
    assert checked.units == "HU"


def test_a_grey_volume_is_not_judged_by_hu(good: CTVolume) -> None:
    grey = replace(good, values=np.clip((good.values + 1250) / 1500 * 255, 0, 255), units="grey")
    assert codes(grey) == []


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (lambda hu: hu[:, ::-1], "flipped-front-back"),
        (lambda hu: hu[::-1, ::-1], "flipped-front-back"),
        (lambda hu: hu[:, :, ::-1], "flipped-head-feet"),
        (lambda hu: hu[::-1], "flipped-left-right"),
        (lambda hu: hu.transpose(1, 0, 2), "rotated-in-plane"),
    ],
)
def test_a_wrong_orientation(
    good: CTVolume, turn: Callable[[NDArray[np.float32]], NDArray[np.float32]], code: str
) -> None:
    assert codes(changed(good, turn(float_values(good)))) == [code]


def test_slices(good: CTVolume) -> None:
    hu, spacing = good.values, good.geometry.spacing
    assert codes(changed(good, hu[:, :, 50:51], (2.5, 2.5, 3.0))) == ["single-slice"]
    assert codes(changed(good, hu[:, :, 50:55])) == ["few-slices"]
    assert codes(changed(good, hu[:, :, 45:70])) == ["short-scan"]
    assert codes(changed(good, hu[:, :, ::2], (2.5, 2.5, 6.0))) == ["thick-slices"]
    thin = volume_of(hu, spacing=spacing, details={"slice_thickness_mm": "1"})
    assert codes(thin) == ["slice-gaps"]
    assert codes(volume_of(hu, spacing=spacing, details={"slice_thickness_mm": "unknown"})) == []
    assert codes(volume_of(hu, spacing=spacing, details={"slice_thickness_mm": "3"})) == []


def test_voxel_size() -> None:
    fine = np.zeros((512, 512, 12), np.float32)
    fine[100:400, 150:380] = TISSUE
    fine[fine == 0] = AIR
    fine[150:220, 200:320], fine[280:350, 200:320] = -850.0, -850.0
    assert "default-spacing" in codes(volume_of(fine, spacing=(1.0, 1.0, 1.0)))
    assert "default-spacing" not in codes(volume_of(fine, spacing=(1.0, 1.0, 2.0)))
    assert "implausible-spacing" in codes(volume_of(fine, spacing=(0.05, 0.05, 2.0)))
    assert "implausible-spacing" in codes(volume_of(fine, spacing=(1.0, 1.0, 30.0)))
    assert "stretched-pixels" in codes(volume_of(fine, spacing=(0.7, 2.0, 0.7)))


def test_matrix_and_field_of_view() -> None:
    assert codes(Chest(spacing=(4.5, 4.5, 4.5)).build()[0]) == ["small-matrix"]
    volume, _ = Chest(spacing=(1.5, 1.5, 4.0)).build()
    part = volume.values[130:250, 40:160]
    assert "small-field-of-view" in codes(changed(volume, part))


def test_a_scan_cropped_to_the_lungs_is_a_chest() -> None:
    volume, _ = Chest(spacing=(2.0, 2.0, 4.0)).build()
    assert codes(changed(volume, volume.values[35:-35, 20:-20])) == []


def test_lung_free_scans() -> None:
    abdomen = Chest(spacing=(2.5, 2.5, 3.0), lungs=()).build()[0]
    abdomen.values[70:80, 60:75, 20:30] = AIR
    assert codes(abdomen) == ["not-a-chest"]
    head = np.full((110, 110, 70), AIR, np.float32)
    x, y, z = np.ogrid[-55:55, -55:55, -35:35]
    radius = np.sqrt((x / 38) ** 2 + (y / 46) ** 2 + (z / 32) ** 2)
    head[radius < 1], head[radius < 0.94], head[radius < 0.86] = TISSUE, BONE, 35.0
    head[50:60, 85:95, 20:30] = AIR
    head += np.random.default_rng(2).normal(0, 5, head.shape)
    assert codes(volume_of(head, spacing=(2.0, 2.0, 3.0))) == ["not-a-chest"]
    air = np.full((110, 110, 40), AIR, np.float32)
    air[:, 40:42] = -300.0
    air += np.random.default_rng(2).normal(0, 5, air.shape)
    assert codes(volume_of(air, spacing=(4.0, 4.0, 5.0))) == ["no-body"]


def test_contrast_agent() -> None:
    volume, _ = Chest(spacing=(2.5, 2.5, 3.0), blood=190.0).build()
    volume.values[(volume.values > 150) & (volume.values < 230)] = 190.0
    findings = check_volume(volume)[1]
    assert [(finding.code, finding.severity) for finding in findings] == [("contrast-agent", "info")]


def test_what_the_reader_said_is_not_said_again(good: CTVolume) -> None:
    said = Finding(code="few-slices", severity="warning", text="said")
    few = replace(changed(good, good.values[:, :, 50:55]), findings=(said,))
    assert codes(few) == []


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (7, 1, 9), (40, 40, 2)])
def test_tiny_volumes_do_not_break_a_check(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(0).normal(0, 300, shape)
    assert codes(volume_of(values))


@pytest.mark.parametrize("name", ["normal_normal001", "cap_cap001"])
def test_real_scans_are_in_order(shared_data: Path, name: str) -> None:
    image = nibabel.load(shared_data / "ct_volumes" / f"{name}_ct.nii.gz")
    values = np.asarray(image.dataobj)
    geometry = Geometry((values.shape[0], values.shape[1], values.shape[2]), np.asarray(image.affine))
    assert codes(CTVolume.from_source(values, Source(name, "nifti", geometry))) == []
