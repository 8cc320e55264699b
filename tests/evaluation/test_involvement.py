"""The interval of the involvement: its formula, its fit, and that it covers what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.analysis import Measurements
from groundglass.errors import OptionError
from groundglass.evaluation.involvement import (
    BandShape,
    at_threshold,
    conformal_factor,
    covers,
    fewest_patients,
    fit_band,
    left_out_coverage,
)
from groundglass.evaluation.records import InvolvementScore, VolumeScore
from groundglass.measure import measure_pictures, with_interval
from groundglass.measure.interval import involvement_interval, lung_by_probability, share_from
from groundglass.models.catalog import InvolvementBand

BAND = InvolvementBand(0.9, 0.1, 0.9, 0.5, 0.1, 2.0, 14, 0.9, "synthetic")


def counts_of(sure: float, unsure: float) -> np.ndarray:
    """Percent of the lung at a probability of 1, percent at 0.5, the rest at 0."""
    counts = np.zeros(256)
    counts[255], counts[128] = sure, unsure
    counts[0] = 100 - sure - unsure
    return counts


def volume(patient: str, truth: float, predicted: float, unsure: float, name: str | None = None) -> VolumeScore:
    known = InvolvementScore(
        truth_percent=truth,
        predicted_percent=predicted,
        by_probability=[round(1000 * value) for value in counts_of(max(predicted - unsure / 2, 0), unsure)],
    )
    return VolumeScore(
        volume=name or patient,
        patient=patient,
        fold=0,
        kind="pictures",
        slices=1,
        spacing_mm=None,
        structures=[],
        involvement=known,
    )


def simulated(patients: int, rng: np.random.Generator) -> list[VolumeScore]:
    """Truth scattered about the prediction, more where the network is unsure."""
    found = []
    for index in range(patients):
        predicted, unsure = rng.uniform(1, 30), rng.uniform(0.1, 5)
        truth = float(np.clip((predicted + 0.5) * np.exp(rng.normal(0, 0.1 + 0.05 * unsure)) - 0.5, 0, 100))
        found.append(volume(f"p{index}", truth, predicted, unsure))
    return found


def test_share_and_counts_agree_with_a_plain_count() -> None:
    rng = np.random.default_rng(0)
    probability = rng.integers(0, 256, (5, 6, 4)).astype(np.uint8)
    lungs = (rng.random((5, 6, 4)) < 0.5).astype(np.uint8)
    counts = lung_by_probability(probability, lungs)
    assert counts.sum() == lungs.sum()
    for threshold in (0.1, 0.5, 0.9):
        expected = 100 * np.mean(probability[lungs > 0] >= threshold * 255)
        assert share_from(counts, threshold) == pytest.approx(expected)


@settings(deadline=None)
@given(st.floats(0, 60), st.floats(0, 30))
def test_the_interval_holds_the_number_and_grows_with_doubt(sure: float, unsure: float) -> None:
    percent = sure + unsure / 2
    narrow = involvement_interval(percent, counts_of(percent, 0.0), BAND)
    wide = involvement_interval(percent, counts_of(sure, unsure), BAND)
    for found in (narrow, wide):
        assert 0 <= found.low <= percent <= found.high <= 100
    assert wide.high - wide.low >= narrow.high - narrow.low - 1e-9


def test_known_interval() -> None:
    # Spread: floor 0.1, so the reach is 0.2 in the logarithm of 10 + 0.5.
    found = involvement_interval(10.0, counts_of(10.0, 0.0), BAND)
    assert found.low == pytest.approx(10.5 * np.exp(-0.2) - 0.5)
    assert found.high == pytest.approx(10.5 * np.exp(0.2) - 0.5)


def test_another_threshold_moves_the_prediction_alone() -> None:
    one = volume("a", 10.0, 5.0, 0.3)
    assert one.involvement is not None
    counts = np.asarray(one.involvement.by_probability, float)
    found = at_threshold([one], 0.4)[0].involvement
    assert found is not None
    assert found.predicted_percent == pytest.approx(100.0 * counts[102:].sum() / counts.sum())
    assert found.truth_percent == 10.0
    silent = one.model_copy(update={"involvement": None})
    assert at_threshold([silent], 0.4) == []


def test_factor_is_the_conformal_quantile() -> None:
    assert conformal_factor([float(value) for value in range(1, 20)], 0.9) == 18.0
    assert conformal_factor([1.0, 5.0, 2.0] * 3, 0.9) == 5.0
    assert conformal_factor([1.0] * 8, 0.9) is None
    assert fewest_patients(0.9) == 9
    assert fewest_patients(0.8) == 4


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(OptionError, match="8 patients cannot promise a coverage of 90%; expected at least 9"):
        fit_band(simulated(8, np.random.default_rng(0)), protocol="test")


def test_volumes_of_one_patient_count_once() -> None:
    first = simulated(9, np.random.default_rng(1))
    again = [one.model_copy(update={"volume": f"{one.volume} again"}) for one in first]
    assert fit_band(first + again, protocol="test").factor == fit_band(first, protocol="test").factor
    assert fit_band(first + again, protocol="test").patients == 9


def test_new_patients_are_covered_as_promised() -> None:
    """Mean coverage of new patients over many fits with 14 patients: at least 90 %, and not all of them."""
    rng = np.random.default_rng(7)
    held = []
    for _ in range(150):
        band = fit_band(simulated(14, rng), protocol="test")
        held.append(np.mean([covers(one.involvement, band) for one in simulated(20, rng) if one.involvement]))
    assert 0.9 <= np.mean(held) < 0.98


def test_coverage_is_measured_on_patients_that_were_left_out() -> None:
    volumes = simulated(19, np.random.default_rng(3))
    odd = volume("odd", 60.0, 1.0, 0.2)
    band = fit_band([*volumes, odd], protocol="test")
    # The odd patient lies beyond what the others say, whatever he did to his own fit.
    assert left_out_coverage([*volumes, odd], band) <= 19 / 20
    assert band.measured_coverage == left_out_coverage([*volumes, odd], band)


def test_the_shape_is_kept() -> None:
    shape = BandShape(low_threshold=0.2, high_threshold=0.8, offset_percent=1.0, floor=0.05)
    band = fit_band(simulated(12, np.random.default_rng(2)), protocol="test", shape=shape)
    assert (band.low_threshold, band.high_threshold, band.offset_percent, band.floor) == (0.2, 0.8, 1.0, 0.05)


def measured() -> Measurements:
    lungs = np.ones((10, 10), np.uint8)
    infection = np.zeros((10, 10), np.uint8)
    infection[:2] = 1
    return measure_pictures([(lungs, infection)])


def test_measurements_get_their_interval_only_where_the_model_has_constants() -> None:
    lungs, probability = np.ones((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    probability[:2] = 255
    assert with_interval(measured(), [(probability, lungs)], None).involvement_interval_percent is None
    found = with_interval(measured(), [(probability, lungs)], BAND).involvement_interval_percent
    assert found is not None
    assert found.low < 20.0 < found.high
