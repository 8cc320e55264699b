"""Density, lobes, lesions, the certainty of scores, and the checks of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.analysis import Analysis, InfectionVolumes, Interval, Measurements
from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.measure import check_measurements, measure, with_score_range
from groundglass.measure.lobes import LOBES, lobe_score, measure_lobes
from groundglass.volume import LabelMap
from tests.report.conftest import make_analysis, make_measurements
from tests.support.chest import infection_of, lungs_of, volume_of


def measured(hu: NDArray[np.float32], lungs: NDArray[np.uint8], infection: NDArray[np.uint8]) -> Measurements:
    volume = volume_of(hu, spacing=(2.0, 2.0, 2.0))
    return measure(volume, lungs_of(volume, lungs), infection_of(volume, infection), subtype_method="hu-threshold")


def test_density_of_known_values() -> None:
    hu = np.full((10, 10, 10), 50.0, np.float32)
    lungs = np.zeros(hu.shape, np.uint8)
    lungs[6:9, 2:8, 2:8], lungs[1:3, 2:8, 2:8] = 1, 2
    right, left = lungs == 1, lungs == 2
    hu[right] = np.linspace(-1000, -200, int(right.sum())).round()
    hu[left] = -960.0
    both, first, second = measured(hu, lungs, np.zeros_like(lungs)).lung_density or []
    assert [part.name for part in (both, first, second)] == ["both lungs", "right lung", "left lung"]
    assert first.mean_hu == pytest.approx(float(hu[right].mean()), abs=1e-3)
    assert first.sd_hu == pytest.approx(float(hu[right].astype(float).std()), abs=1e-3)
    assert first.percentiles_hu["p50"] == pytest.approx(np.percentile(hu[right], 50, method="inverted_cdf"))
    assert first.percentiles_hu["p15"] == pytest.approx(np.percentile(hu[right], 15, method="inverted_cdf"))
    assert first.laa_950_percent == pytest.approx(100 * float((hu[right] < -950).mean()))
    assert first.haa_percent == pytest.approx(100 * float(((hu[right] >= -600) & (hu[right] <= -250)).mean()))
    assert (second.laa_950_percent, second.haa_percent, second.sd_hu) == (100.0, 0.0, 0.0)
    inside = hu[lungs > 0]
    assert both.laa_950_percent == pytest.approx(100 * float((inside < -950).mean()))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), flips=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_density_and_pieces_do_not_depend_on_mirroring(seed: int, flips: tuple[bool, bool, bool]) -> None:
    random = np.random.default_rng(seed)
    hu = random.integers(-1100, 300, (8, 9, 7)).astype(np.float32)
    lungs = random.integers(0, 3, hu.shape).astype(np.uint8)
    infection = (random.random(hu.shape) < 0.15).astype(np.uint8)
    axes = tuple(axis for axis, flip in enumerate(flips) if flip)
    first = measured(hu, lungs, infection)
    mirrored_hu, mirrored_lungs, mirrored_infection = (
        np.ascontiguousarray(np.flip(array, axes)) for array in (hu, lungs, infection)
    )
    second = measured(
        mirrored_hu.astype(np.float32), mirrored_lungs.astype(np.uint8), mirrored_infection.astype(np.uint8)
    )
    assert first.lung_density == second.lung_density
    assert first.high_opacity_percent == second.high_opacity_percent
    assert (first.lesions is None) == (second.lesions is None)
    if first.lesions and second.lesions:
        assert first.lesions.count == second.lesions.count
        assert first.lesions.largest_ml == second.lesions.largest_ml


def test_pieces_touch_by_corners_but_never_across_the_lungs() -> None:
    lungs = np.ones((20, 20, 20), np.uint8)
    lungs[10:] = 2
    infection = np.zeros_like(lungs)
    infection[2:5, 2:5, 2:5] = infection[5:8, 5:8, 5:8] = 1  # one piece, by a corner
    infection[8:12, 12:16, 12:16] = 1  # two pieces: half in each lung
    infection[15, 2, 2] = 1  # 0.008 ml: too small to count
    found = measured(np.full(lungs.shape, -500.0, np.float32), lungs, infection).lesions
    assert found is not None
    assert (found.count, found.right, found.left) == (3, 2, 1)
    assert found.largest_ml == pytest.approx([54 * 0.008, 32 * 0.008, 32 * 0.008])
    assert found.bilateral


def test_surface_and_back() -> None:
    lungs = np.zeros((40, 40, 40), np.uint8)
    lungs[5:35, 5:35, 5:35] = 1
    infection = np.zeros_like(lungs)
    infection[18:22, 6:9, 18:22] = 1  # at the back, 2 to 8 mm from the surface
    found = measured(np.full(lungs.shape, -500.0, np.float32), lungs, infection).lesions
    assert found is not None
    assert (found.peripheral_percent, found.posterior_percent) == (100.0, 100.0)
    assert found.posterior_lung_percent == pytest.approx(50.0, abs=6)
    middle = np.zeros_like(lungs)
    middle[18:22, 18:22, 18:22] = 1
    found = measured(np.full(lungs.shape, -500.0, np.float32), lungs, middle).lesions
    assert found is not None
    assert found.peripheral_percent == 0.0


@pytest.mark.parametrize(
    ("share", "infected", "score"),
    [
        (0.0, False, 0),
        (0.0, True, 1),
        (4.99, True, 1),
        (5.0, True, 2),
        (24.99, True, 2),
        (25.0, True, 3),
        (49.9, True, 3),
        (50.0, True, 4),
        (75.0, True, 4),
        (75.01, True, 5),
        (100.0, True, 5),
        (None, False, None),
    ],
)
def test_lobe_edges(share: float | None, infected: bool, score: int | None) -> None:
    assert lobe_score(share, infected) == score


@pytest.mark.parametrize("values", [{1: 12, 2: 13, 3: 14, 4: 10, 5: 11}, {1: 3, 2: 4, 3: 5, 4: 1, 5: 2}])
def test_lobes_of_both_programs(values: dict[int, int]) -> None:
    parts = np.repeat(np.arange(1, 6, dtype=np.uint8), 20).reshape(100, 1, 1) * np.ones((1, 4, 5), np.uint8)
    labels = np.vectorize(values.get)(parts).astype(np.uint8)
    volume = volume_of(np.full(labels.shape, -800.0, np.float32))
    infection = np.zeros_like(labels)
    for place, sick in enumerate((0, 1, 5, 10, 20)):
        infection[20 * place : 20 * place + sick] = 1
    found, total = measure_lobes(lungs_of(volume, labels), infection_of(volume, infection))
    assert [lobe.name for lobe in found] == list(LOBES)
    assert [lobe.percent for lobe in found] == pytest.approx([0.0, 5.0, 25.0, 50.0, 100.0])
    assert [lobe.score for lobe in found] == [0, 2, 3, 4, 5]
    assert total == 14


def test_lobe_masks_that_do_not_fit_are_refused() -> None:
    volume, other = (volume_of(np.zeros((6, 6, 6), np.float32), spacing=(s, 1.0, 1.0)) for s in (1.0, 1.5))
    empty = infection_of(volume, np.zeros((6, 6, 6)))
    with pytest.raises(GeometryMismatchError, match="make the lobe mask from the scan"):
        measure_lobes(lungs_of(other, np.full((6, 6, 6), 10)), empty)
    with pytest.raises(InvalidImageError, match=r"expected 10 to 14 \(TotalSegmentator\)"):
        measure_lobes(lungs_of(volume, np.full((6, 6, 6), 7)), empty)
    partial: LabelMap = lungs_of(volume, np.full((6, 6, 6), 12))
    found, total = measure_lobes(partial, empty)
    assert found[0].score == 0
    assert total is None, "four lobes are missing"


def test_the_score_range_follows_the_interval() -> None:
    found = with_score_range(make_measurements())
    # Zones at 0, 2, 31.5, 0, 12.25 and 61 percent; the total of 12.48 may be 10.1 to 14.9.
    assert [zone.near_edge for zone in found.zones] == [False] * 5 + [True], "61 % may be 49.4 %"
    assert found.zonal_severity_range is not None
    assert (found.zonal_severity_range.low, found.zonal_severity_range.high) == (9, 10)
    wide = make_measurements().model_copy(update={"involvement_interval_percent": Interval(low=6.0, high=32.0)})
    found = with_score_range(wide)
    assert [zone.near_edge for zone in found.zones] == [False, True, True, False, True, True]
    assert found.zonal_severity_range is not None
    assert (found.zonal_severity_range.low, found.zonal_severity_range.high) == (8, 13)
    unknown = make_measurements().model_copy(update={"involvement_interval_percent": None})
    assert with_score_range(unknown) == unknown


def codes(measurements: Measurements) -> list[str]:
    return [finding.code for finding in check_measurements(measurements)]


def consistent() -> Measurements:
    hu = np.full((12, 12, 12), 40.0, np.float32)
    lungs = np.zeros(hu.shape, np.uint8)
    lungs[7:11, 2:10, 2:10], lungs[1:5, 2:10, 2:10] = 1, 2
    hu[lungs > 0] = -850.0
    infection = np.zeros_like(lungs)
    infection[8, 3:9, 3:6] = 1
    hu[infection > 0] = -500.0
    return measured(hu, lungs, infection)


def test_consistent_numbers_pass() -> None:
    assert codes(consistent()) == []


def test_parts_that_do_not_add_up() -> None:
    broken = InfectionVolumes(total=5.0, right=1.0, left=1.0, ground_glass=5.0, consolidation=0.0)
    assert codes(consistent().model_copy(update={"infection_volume_ml": broken})) == ["numbers-disagree"]


def test_infection_as_light_as_lung() -> None:
    assert codes(consistent().model_copy(update={"mean_infection_hu": -820.0})) == ["infection-light"]


def test_dense_lung_that_is_not_called_infected() -> None:
    hu = np.full((12, 12, 12), -850.0, np.float32)
    hu[:, :6] = -100.0
    found = measured(hu, np.ones(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8))
    assert codes(found) == ["dense-lung-not-infected"]


def test_an_unsure_score_is_said() -> None:
    wide = make_measurements().model_copy(update={"involvement_interval_percent": Interval(low=6.0, high=32.0)})
    [finding] = [one for one in check_measurements(with_score_range(wide)) if one.code == "score-near-edge"]
    assert "8 to 13" in finding.text


def test_a_record_of_the_former_version_can_be_read() -> None:
    record = make_analysis().model_dump(mode="json")
    for key in ("high_opacity_percent", "zonal_severity_range", "lung_density", "lesions", "lobes"):
        del record["measurements"][key]
    del record["measurements"]["lobar_severity_score"]
    for zone in record["measurements"]["zones"]:
        for key in ("ground_glass_ml", "consolidation_ml", "near_edge"):
            del zone[key]
    record["schema_version"] = "1.0"
    assert Analysis.model_validate(record).measurements.lesions is None
