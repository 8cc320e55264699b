"""Means, intervals by patient and Bland-Altman."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from groundglass.evaluation.metrics import Overlap
from groundglass.evaluation.records import StructureScore, VolumeScore
from groundglass.evaluation.score import scores_of
from groundglass.evaluation.statistics import bland_altman, patient_interval, summarise, volume_agreement
from groundglass.evaluation.summary import summarise_structure


def volume(name: str, patient: str, both: int, predicted: int, truth: int, *, ml: float | None = None) -> VolumeScore:
    counted = Overlap(both, predicted, truth, 1000)
    relative = counted.volume_error
    score = StructureScore(
        structure="infection",
        threshold=0.5,
        tolerance_mm=3.0,
        scores=scores_of(counted, None),
        truth_ml=None if ml is None else truth * ml,
        predicted_ml=None if ml is None else predicted * ml,
        volume_error_ml=None if ml is None else (predicted - truth) * ml,
        volume_error_percent=None if relative is None else 100 * relative,
    )
    return VolumeScore(
        volume=name, patient=patient, fold=0, kind="pictures", slices=3, spacing_mm=None, structures=[score]
    )


def test_summary_of_known_volumes() -> None:
    volumes = [volume("a", "p", 50, 100, 100), volume("b", "q", 90, 100, 100), volume("c", "r", 10, 20, 0)]
    rows = {row.metric: row for row in summarise(volumes[:2], "infection")}
    assert rows["dice"].mean == pytest.approx(0.7)
    assert rows["dice"].sd == pytest.approx(np.std([0.5, 0.9], ddof=1))
    assert (rows["dice"].worst, rows["dice"].worst_volume) == (0.5, "a")
    assert rows["dice"].interval is None
    assert "nsd" not in rows
    assert "volume_error_ml" not in rows
    # Without truth the relative error is unknown, and the others stay.
    with_none = {row.metric: row for row in summarise(volumes, "infection")}
    assert with_none["volume_error_percent"].volumes == 2
    assert with_none["dice"].volumes == 3


def test_volumes_of_a_few_slices_are_set_apart() -> None:
    volumes = [volume(name, name, 90, 100, 100).model_copy(update={"slices": 25}) for name in "ab"]
    volumes.append(volume("c", "c", 0, 0, 2))
    summary = summarise_structure(volumes, "infection", 0)
    assert summary.metric("dice").mean == pytest.approx(0.6)  # type: ignore[union-attr]
    assert summary.dice_of_long is not None
    assert summary.dice_of_long.volumes == 2
    assert summary.dice_of_long.mean == pytest.approx(0.9)
    assert summarise_structure(volumes[2:], "infection", 0).dice_of_long is None


def test_one_volume_a_patient_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(2).normal(0.7, 0.15, 15).tolist()
    found = patient_interval(values, [str(index) for index in range(15)], seed=3, resamples=4000)
    plain = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(9))
    assert found is not None
    assert found.low == pytest.approx(plain.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(plain.confidence_interval.high, abs=0.01)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, patients = [0.1, 0.5, 0.6, 0.7, 0.9, 0.8], list("aabcde")
    assert patient_interval(values, patients, seed=1) == patient_interval(values, patients, seed=1)
    assert patient_interval(values, patients, seed=1) != patient_interval(values, patients, seed=2)
    shuffled = [3, 0, 5, 1, 4, 2]
    again = patient_interval([values[i] for i in shuffled], [patients[i] for i in shuffled], seed=1)
    first = patient_interval(values, patients, seed=1)
    assert again is not None
    assert first is not None
    assert (again.low, again.high) == pytest.approx((first.low, first.high))


def test_few_patients_have_no_interval_and_equal_ones_a_point() -> None:
    assert patient_interval([0.5, 0.6, 0.7, 0.8], ["a", "a", "b", "c"]) is None
    found = patient_interval([0.5] * 5, list("abcde"))
    assert found is not None
    assert found.low == found.high == 0.5


def test_coverage_with_clustered_volumes() -> None:
    """Fourteen patients, the first four with four volumes that resemble each other: about 95 % of intervals hold the
    mean. Taking the volumes for independent covers clearly less."""
    rng = np.random.default_rng(11)
    patients = [str(index) for index in range(14) for _ in range(4 if index < 4 else 1)]
    held, naive = [], []
    for turn in range(300):
        own = dict(zip(dict.fromkeys(patients), rng.normal(0.0, 1.0, 14), strict=True))
        values = [own[patient] + rng.normal(0.0, 0.2) for patient in patients]
        found = patient_interval(values, patients, seed=turn, resamples=500)
        plain = patient_interval(values, [str(index) for index in range(len(values))], seed=turn, resamples=500)
        assert found is not None
        assert plain is not None
        held.append(found.low <= 0.0 <= found.high)
        naive.append(plain.low <= 0.0 <= plain.high)
    assert 0.86 <= np.mean(held) <= 0.98
    assert np.mean(naive) < np.mean(held) - 0.05


def test_bland_altman_of_known_numbers() -> None:
    found = bland_altman([(10.0, 12.0), (20.0, 20.0), (30.0, 31.0)], ["a", "b", "c"], "volume", "ml")
    assert found.bias == pytest.approx(1.0)
    assert found.limits is not None
    assert (found.limits.low, found.limits.high) == pytest.approx((1 - 1.96, 1 + 1.96))


def test_millilitres_where_all_volumes_have_them_else_pixels() -> None:
    known = [volume("a", "p", 5, 10, 10, ml=0.5), volume("b", "q", 5, 10, 20, ml=0.5)]
    found = volume_agreement(known, "infection")
    assert found is not None
    assert (found.unit, found.truth, found.predicted) == ("ml", [5.0, 10.0], [5.0, 5.0])
    mixed = volume_agreement([*known, volume("c", "r", 1, 2, 3)], "infection")
    assert mixed is not None
    assert (mixed.unit, mixed.truth) == ("pixels", [10.0, 20.0, 3.0])
    assert volume_agreement(known, "lungs") is None
