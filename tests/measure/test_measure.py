from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.analysis import Measurements
from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.geometry import Geometry, Vector3
from groundglass.measure import measure, measure_pictures
from groundglass.measure.zones import ZONE_NAMES, zone_score
from groundglass.volume import CTVolume
from tests.support.chest import infection_of, lungs_of, volume_of

SPACINGS = [(1.0, 1.0, 1.0), (0.75, 0.75, 2.0), (2.0, 1.0, 5.0)]


def asymmetric() -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
    """Values, lungs and infection: right lung of 3x4x9, left lung of 2x4x6 voxels."""
    values = np.full((10, 6, 12), 40.0, dtype=np.float32)
    lungs = np.zeros(values.shape, dtype=np.uint8)
    lungs[6:9, 1:5, 2:11] = 1
    lungs[1:3, 1:5, 3:9] = 2
    values[lungs > 0] = -850.0
    infection = np.zeros(values.shape, dtype=np.uint8)
    infection[6:8, 1:5, 2:4] = 1  # 16 voxels in the right lower zone of 36
    infection[8, 1, 9] = 2  # 1 voxel in the right upper zone
    infection[1, 1:5, 7] = 1  # 4 voxels in the left upper zone of 16
    values[infection == 1] = -500.0
    values[infection == 2] = 0.0
    return values, lungs, infection


def measured(
    values: NDArray[np.float32], lungs: NDArray[np.uint8], infection: NDArray[np.uint8], spacing: Vector3
) -> Measurements:
    volume = volume_of(values, spacing=spacing)
    return measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method="hu-threshold")


@pytest.mark.parametrize("spacing", SPACINGS)
def test_volumes_and_shares(spacing: Vector3) -> None:
    result = measured(*asymmetric(), spacing)
    ml = spacing[0] * spacing[1] * spacing[2] / 1000.0
    lungs, infection = result.lung_volume_ml, result.infection_volume_ml
    assert (lungs.right, lungs.left, lungs.total) == pytest.approx((108 * ml, 48 * ml, 156 * ml))
    assert (infection.right, infection.left, infection.total) == pytest.approx((17 * ml, 4 * ml, 21 * ml))
    assert (infection.ground_glass, infection.consolidation) == pytest.approx((20 * ml, ml))
    share = result.involvement_percent
    assert (share.right, share.left, share.total) == pytest.approx((1700 / 108, 400 / 48, 2100 / 156))
    assert result.consolidation_share_percent == pytest.approx(100 / 21)
    assert result.subtype_method == "hu-threshold"


@pytest.mark.parametrize("spacing", SPACINGS)
def test_zones_are_thirds_of_each_lung(spacing: Vector3) -> None:
    result = measured(*asymmetric(), spacing)
    ml = spacing[0] * spacing[1] * spacing[2] / 1000.0
    assert tuple(zone.name for zone in result.zones) == ZONE_NAMES
    assert ZONE_NAMES[0] == "right upper"
    assert [zone.lung_ml for zone in result.zones] == pytest.approx([36 * ml] * 3 + [16 * ml] * 3)
    assert [zone.infection_ml for zone in result.zones] == pytest.approx([ml, 0, 16 * ml, 4 * ml, 0, 0])
    assert [zone.percent for zone in result.zones] == pytest.approx([100 / 36, 0, 1600 / 36, 25, 0, 0])
    assert [zone.score for zone in result.zones] == [1, 0, 3, 3, 0, 0]
    assert result.zonal_severity_score == 7


def test_densities() -> None:
    result = measured(*asymmetric(), (1.0, 1.0, 1.0))
    assert result.mean_lung_hu == pytest.approx((135 * -850 + 20 * -500) / 156)
    assert result.mean_infection_hu == pytest.approx(20 * -500 / 21)
    histogram = result.hu_histogram
    assert histogram is not None
    assert histogram.edges == list(range(-1050, 251, 25))
    assert len(histogram.counts) == len(histogram.edges) - 1
    assert {edge: count for edge, count in zip(histogram.edges, histogram.counts, strict=False) if count} == {
        -850: 135,
        -500: 20,
        0: 1,
    }
    bands = result.density_bands
    assert bands is not None
    assert {band.name: round(band.ml * 1000) for band in bands} == {
        "emphysema": 0,
        "inflated": 135,
        "infiltrated": 20,
        "collapsed": 0,
        "vessels": 1,
    }


def test_histogram_counts_what_lies_outside_in_its_end_bins() -> None:
    values = np.array([-2000.0, -1050.0, -1025.0, 249.9, 250.0, 3000.0], dtype=np.float32).reshape(6, 1, 1)
    result = measured(values, np.ones((6, 1, 1), np.uint8), np.zeros((6, 1, 1), np.uint8), (1.0, 1.0, 1.0))
    assert result.hu_histogram is not None
    assert result.hu_histogram.counts[:2] == [2, 1]
    assert result.hu_histogram.counts[-1] == 3
    assert result.density_bands is not None
    assert sum(band.percent for band in result.density_bands) == pytest.approx(100.0)


def test_infection_outside_the_lungs_is_not_counted() -> None:
    values, lungs, infection = asymmetric()
    infection[0, 0, 0] = 2
    assert measured(values, lungs, infection, (1.0, 1.0, 1.0)) == measured(*asymmetric(), (1.0, 1.0, 1.0))


def test_no_lung() -> None:
    values, lungs, infection = asymmetric()
    result = measured(values, lungs * 0, infection, (1.0, 1.0, 1.0))
    assert result.lung_volume_ml.total == 0.0
    assert result.involvement_percent.total is None
    assert result.mean_lung_hu is None
    assert result.density_bands is None
    assert result.zonal_severity_score is None
    assert {zone.score for zone in result.zones} == {None}


def test_one_lung() -> None:
    values, lungs, infection = asymmetric()
    lungs[lungs == 2] = 0
    result = measured(values, lungs, infection, (1.0, 1.0, 1.0))
    assert result.involvement_percent.left is None
    assert result.involvement_percent.total == result.involvement_percent.right
    assert [zone.score for zone in result.zones] == [1, 0, 3, None, None, None]
    assert result.zonal_severity_score == 4


def test_grey_values_have_no_densities() -> None:
    values, lungs, infection = asymmetric()
    volume = volume_of(values, units="grey")
    result = measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method=None)
    assert (result.mean_lung_hu, result.mean_infection_hu) == (None, None)
    assert (result.hu_histogram, result.density_bands) == (None, None)
    assert result.infection_volume_ml.consolidation is None
    assert result.infection_volume_ml.total is not None
    assert result.consolidation_share_percent is None


def test_grids_must_match() -> None:
    values, lungs, infection = asymmetric()
    volume = volume_of(values)
    other = volume_of(values, spacing=(1.0, 1.0, 2.0))
    with pytest.raises(GeometryMismatchError):
        measure(volume, lungs_of(other, lungs), infection_of(volume, infection), subtype_method=None)


@pytest.mark.parametrize("degrees", [0.0, 8.0, 20.0])
def test_zones_follow_the_head_feet_axis_of_an_oblique_scan(degrees: float) -> None:
    """A patient lying slanted in the scanner: the thirds are those of the patient's height, not of the slices."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    shape = (12, 40, 60)
    affine = turn @ np.diag([2.0, 2.0, 2.0, 1.0])
    geometry = Geometry(shape, affine)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = geometry.world(index)
    centre = geometry.world([(n - 1) / 2 for n in shape])
    height = world[..., 2] - centre[2]
    lungs = np.where((np.abs(height) < 36) & (np.abs(world[..., 1] - centre[1]) < 24), 1, 0)
    infection = ((height > 12) & (lungs > 0)).astype(np.uint8)
    volume = volume_of(np.full(shape, -800.0), affine=affine)
    result = measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method="network")
    percents = [zone.percent for zone in result.zones[:3]]
    assert percents[0] == pytest.approx(100.0, abs=8.0)
    assert percents[2] == 0.0
    assert [zone.lung_ml for zone in result.zones[:3]] == pytest.approx(
        [np.count_nonzero(lungs) * 8e-3 / 3] * 3, rel=0.1
    )


@pytest.mark.parametrize(
    ("share", "infected", "score"),
    [
        (0.0, False, 0),
        (0.001, True, 1),
        (4.999, True, 1),
        (5.0, True, 2),
        (24.999, True, 2),
        (25.0, True, 3),
        (49.999, True, 3),
        (50.0, True, 4),
        (100.0, True, 4),
        (None, False, None),
    ],
)
def test_score_edges(share: float | None, infected: bool, score: int | None) -> None:
    assert zone_score(share, infected) == score


@st.composite
def scans(draw: st.DrawFn) -> tuple[CTVolume, NDArray[np.uint8], NDArray[np.uint8]]:
    seed = draw(st.integers(0, 2**32 - 1))
    shape = draw(st.tuples(*[st.integers(1, 9)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 7.0)] * 3))
    random = np.random.default_rng(seed)
    volume = volume_of(random.uniform(-1100, 300, shape), spacing=spacing)
    lungs = random.choice(3, shape, p=draw(st.sampled_from([(0.4, 0.3, 0.3), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)])))
    return volume, lungs.astype(np.uint8), random.integers(0, 3, shape).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(scans())
def test_parts_sum_to_totals(scan: tuple[CTVolume, NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    volume, lungs, infection = scan
    result = measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method="hu-threshold")
    lung, infected = result.lung_volume_ml, result.infection_volume_ml
    assert lung.right is not None
    assert lung.left is not None
    assert infected.ground_glass is not None
    assert infected.consolidation is not None
    assert infected.total is not None
    assert lung.right + lung.left == pytest.approx(lung.total)
    assert infected.ground_glass + infected.consolidation == pytest.approx(infected.total)
    assert sum(zone.lung_ml or 0.0 for zone in result.zones) == pytest.approx(lung.total)
    assert sum(zone.infection_ml or 0.0 for zone in result.zones) == pytest.approx(infected.total)
    share = result.involvement_percent.total
    assert (share is None) == (lung.total == 0.0)
    assert share is None or 0.0 <= share <= 100.0
    if result.density_bands is not None:
        assert sum(band.ml for band in result.density_bands) == pytest.approx(lung.total)
    assert result.zonal_severity_score == (sum(zone.score or 0 for zone in result.zones) if share is not None else None)


@settings(max_examples=30, deadline=None)
@given(scans())
def test_mirroring_swaps_the_sides(scan: tuple[CTVolume, NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    volume, lungs, infection = scan
    swapped = np.choose(lungs, [0, 2, 1])[::-1]
    mirrored = volume_of(volume.values[::-1], spacing=volume.geometry.spacing)
    one = measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method="network")
    two = measure(
        mirrored, lungs_of(mirrored, swapped), infection_of(mirrored, infection[::-1]), subtype_method="network"
    )
    assert two.lung_volume_ml.right == one.lung_volume_ml.left
    assert two.involvement_percent.left == one.involvement_percent.right
    assert two.involvement_percent.total == one.involvement_percent.total
    assert [zone.percent for zone in two.zones] == [zone.percent for zone in (*one.zones[3:], *one.zones[:3])]


def test_pictures_give_shares_only() -> None:
    lungs = np.zeros((10, 20), np.uint8)
    lungs[2:8, 2:8], lungs[2:8, 12:18] = 1, 2
    infection = np.zeros_like(lungs)
    infection[2:5, 2:8], infection[2, 12:15], infection[0, 0] = 1, 2, 2
    result = measure_pictures([(lungs, infection)])
    share = result.involvement_percent
    assert (share.right, share.left, share.total) == pytest.approx((50.0, 300 / 36, 2100 / 72))
    assert result.consolidation_share_percent == pytest.approx(300 / 21)
    assert result.lung_volume_ml.total is None
    assert result.infection_volume_ml.total is None
    assert [zone.name for zone in result.zones] == list(ZONE_NAMES)
    assert result.zonal_severity_score is None


def test_a_larger_copy_of_a_picture_weighs_the_same() -> None:
    lungs = np.ones((4, 4), np.uint8)
    infected, clear = np.ones_like(lungs), np.zeros_like(lungs)
    large = np.ones((40, 40), np.uint8)
    result = measure_pictures([(lungs, infected), (lungs, clear), (large, large * 0)], subtype_method=None)
    assert result.involvement_percent.total == pytest.approx(100 / 3)
    assert result.consolidation_share_percent is None


def test_pictures_without_lungs() -> None:
    empty = np.zeros((5, 5), np.uint8)
    assert measure_pictures([(empty, empty)]).involvement_percent.total is None


def test_maps_of_a_picture_must_match() -> None:
    with pytest.raises(InvalidImageError, match="size"):
        measure_pictures([(np.zeros((5, 5), np.uint8), np.zeros((5, 6), np.uint8))])
