"""Bodies of known volume at five spacings and eight orientations, fed as masks through files as a scan would be."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray

from groundglass.analysis import Measurements
from groundglass.geometry import Geometry, Vector3
from groundglass.measure import measure
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap, Source

SPACINGS: list[Vector3] = [(1.5, 1.5, 1.5), (1.2, 1.2, 3.0), (2.0, 1.6, 2.5), (0.9, 1.4, 5.0), (2.2, 2.2, 1.2)]
ORIENTATIONS = ["RAS", "LPS", "LAS", "RPI", "SRA", "ASL", "PIR", "IPL"]
SIZE = (270.0, 150.0, 246.0)

RIGHT = ((75.0, 0.0, 0.0), (45.0, 60.0, 110.0))
LEFT = ((-70.0, 4.0, 6.0), (38.0, 52.0, 96.0))
"""Middle and semi-axes in millimetres."""


@dataclass(frozen=True)
class Body:
    """A box of infection: middle and half sizes in millimetres, and its kind."""

    middle: Vector3
    half: Vector3
    kind: int

    @property
    def ml(self) -> float:
        return float(np.prod(np.multiply(self.half, 2))) / 1000.0


BODIES = (
    Body((80.0, -20.0, -50.0), (16.013, 18.013, 10.013), 1),
    Body((70.0, 10.0, 55.0), (9.013, 14.013, 8.013), 2),
    Body((-70.0, -15.0, 5.0), (18.013, 20.013, 12.013), 1),
)
ZONE_OF_BODY = (2, 0, 4)
SCORES = [1, 0, 2, 0, 2, 0]
"""By hand: shares of the right upper, right lower and left middle zone are about 2.5, 7 and 9 percent."""


def ellipsoid_ml(semi: Vector3) -> float:
    return 4 / 3 * pi * float(np.prod(semi)) / 1000.0


def scan(spacing: Vector3, orientation: str) -> tuple[CTVolume, LabelMap, LabelMap]:
    shape = tuple(round(length / step) for length, step in zip(SIZE, spacing, strict=True))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.multiply(spacing, np.subtract(shape, 1)) / 2
    x, y, z = (
        (affine[axis, 3] + spacing[axis] * np.arange(shape[axis])).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis in range(3)
    )
    lungs = np.zeros(shape, np.uint8)
    for value, (middle, semi) in ((1, RIGHT), (2, LEFT)):
        inside = sum(((c - m) / s) ** 2 for c, m, s in zip((x, y, z), middle, semi, strict=True)) <= 1
        lungs[inside] = value
    infection = np.zeros(shape, np.uint8)
    hu = np.where(lungs > 0, -850.0, 30.0).astype(np.float32)
    for body in BODIES:
        near = np.ones(shape, bool)
        for coordinate, m, h in zip((x, y, z), body.middle, body.half, strict=True):
            near &= np.abs(coordinate - m) <= h
        infection[near] = body.kind
        hu[near] = -500.0 if body.kind == 1 else 0.0
    return on_file_axes(hu, lungs, infection, affine, orientation)


def on_file_axes(
    hu: NDArray[np.float32],
    lungs: NDArray[np.uint8],
    infection: NDArray[np.uint8],
    affine: NDArray[np.float64],
    orientation: str,
) -> tuple[CTVolume, LabelMap, LabelMap]:
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(orientation)))
    turned = [np.ascontiguousarray(apply_orientation(array, turn)) for array in (hu, lungs, infection)]
    grid = Geometry(turned[0].shape, affine @ inv_ornt_aff(turn, hu.shape))
    source = Source("body", "array", grid)
    volume = CTVolume.from_source(turned[0], source)
    order = grid.ras_order()
    maps = [
        LabelMap(np.asfortranarray(order.apply(array)), volume.geometry, names, source)
        for array, names in zip(turned[1:], (LUNG_NAMES, INFECTION_NAMES), strict=True)
    ]
    return volume, maps[0], maps[1]


@pytest.fixture(scope="module")
def reference() -> Measurements:
    return measure(*scan((1.0, 1.0, 1.0), "RAS"), subtype_method="hu-threshold")


@pytest.mark.parametrize("spacing", SPACINGS, ids=lambda spacing: "x".join(f"{step:g}" for step in spacing))
def test_truth_at_every_spacing_and_orientation(spacing: Vector3, reference: Measurements) -> None:
    first: Measurements | None = None
    for orientation in ORIENTATIONS:
        found = measure(*scan(spacing, orientation), subtype_method="hu-threshold")
        if first is None:
            first = found
            check_truth(found, spacing)
            check_positions(found, reference)
        assert found == first, f"{orientation} gives other numbers than RAS"


def check_truth(found: Measurements, spacing: Vector3) -> None:
    lungs, infection = found.lung_volume_ml, found.infection_volume_ml
    assert lungs.right == pytest.approx(ellipsoid_ml(RIGHT[1]), rel=0.02)
    assert lungs.left == pytest.approx(ellipsoid_ml(LEFT[1]), rel=0.02)
    # A box is off by what its faces cut: half a voxel at most, so its truth is that of the voxels it holds.
    held = [body_voxels(body, spacing) for body in BODIES]
    ml = float(np.prod(spacing)) / 1000.0
    assert infection.right == pytest.approx((held[0] + held[1]) * ml, rel=1e-6)
    assert infection.consolidation == pytest.approx(held[1] * ml, rel=1e-6)
    assert [zone.score for zone in found.zones] == SCORES
    assert found.zonal_severity_score == sum(SCORES)
    for place, zone in enumerate(found.zones):
        inside = [held[body] * ml for body, where in enumerate(ZONE_OF_BODY) if where == place]
        assert zone.infection_ml == pytest.approx(sum(inside), rel=1e-6)
    assert found.lesions is not None
    assert (found.lesions.count, found.lesions.right, found.lesions.left) == (3, 2, 1)
    assert found.lesions.bilateral
    assert found.high_opacity_percent is not None
    assert found.high_opacity_percent.total == pytest.approx(100 * held[1] * ml / (lungs.total or 0), rel=1e-6)


def body_voxels(body: Body, spacing: Vector3) -> int:
    count = 1
    for length, step, middle, half in zip(SIZE, spacing, body.middle, body.half, strict=True):
        size = round(length / step)
        centres = (np.arange(size) - (size - 1) / 2) * step
        count *= int((np.abs(centres - middle) <= half).sum())
    return count


def check_positions(found: Measurements, reference: Measurements) -> None:
    assert found.lesions is not None
    assert reference.lesions is not None
    for name in ("peripheral_percent", "peripheral_lung_percent", "posterior_percent", "posterior_lung_percent"):
        assert getattr(found.lesions, name) == pytest.approx(getattr(reference.lesions, name), abs=9.0), name


def test_the_fine_grid_agrees_with_geometry(reference: Measurements) -> None:
    truth = [body.ml for body in BODIES]
    assert reference.infection_volume_ml.total == pytest.approx(sum(truth), rel=0.02)
    assert reference.lung_volume_ml.total == pytest.approx(ellipsoid_ml(RIGHT[1]) + ellipsoid_ml(LEFT[1]), rel=0.002)
    assert reference.lesions is not None
    assert reference.lesions.posterior_lung_percent == pytest.approx(50.0, abs=1.0)
    middle_layer = 100 * (1 - np.prod([(s - 10) / s for s in RIGHT[1]]))
    assert abs(reference.lesions.peripheral_lung_percent - middle_layer) < 8.0
