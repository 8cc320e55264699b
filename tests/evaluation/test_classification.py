from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

pytest.importorskip("sklearn")
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    roc_auc_score,
    roc_curve,
)

from groundglass.evaluation.classification import (
    auprc,
    auroc,
    binary_scores,
    calibration_error,
    confusion,
    coverage_of,
    f1,
    macro_scores,
    patient_resamples,
    precision,
    ranked_counts,
)


def test_binary_scores_by_hand() -> None:
    truth, scores = [1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.7, 0.1]
    found = {name: one.value for name, one in binary_scores(truth, scores, list("abcde")).items()}
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["F1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["AUROC"] == pytest.approx(4 / 6)
    assert found["sensitivity"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["Brier"] == pytest.approx(np.mean([0.01, 0.16, 0.36, 0.49, 0.01]))


def test_intervals_widen_where_slices_belong_to_few_patients() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(20), 10)
    truth = (owner % 2).astype(int)
    scores = np.clip(0.5 + 0.25 * (2 * truth - 1) + rng.normal(0, 0.35, 20)[owner], 0, 1)
    grouped = binary_scores(truth, scores, [str(one) for one in owner])["accuracy"].interval
    alone = binary_scores(truth, scores, [str(one) for one in range(200)])["accuracy"].interval
    assert grouped is not None
    assert alone is not None
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_too_few_patients_give_no_interval_and_one_class_no_ranking() -> None:
    found = binary_scores([1, 1, 1], [0.9, 0.8, 0.2], ["a", "a", "b"])
    assert found["AUROC"].value is None
    assert found["accuracy"].interval is None
    assert patient_resamples(["a", "b", "c"]) == []


def test_calibration_error_of_certain_and_of_honest_answers() -> None:
    truth = np.array([1, 0] * 50)
    assert calibration_error(truth, np.full(100, 0.5)) == pytest.approx(0.0)
    assert calibration_error(truth, np.full(100, 1.0)) == pytest.approx(0.5)


def test_macro_scores_and_confusion() -> None:
    truth = [0, 0, 1, 1, 2, 2]
    shares = np.eye(3)[[0, 1, 1, 1, 2, 0]] * 0.8 + 0.1
    found = macro_scores(truth, shares, list("abcdef"))
    assert found["macro F1"].value == pytest.approx(np.mean([0.5, 0.8, 2 / 3]))
    np.testing.assert_array_equal(confusion(truth, shares.argmax(1).tolist(), 3), [[1, 1, 0], [0, 2, 0], [1, 0, 1]])


@settings(deadline=None, max_examples=60)
@given(some.lists(some.tuples(some.integers(0, 1), some.integers(0, 6)), min_size=2, max_size=30))
def test_quick_scores_equal_the_library(pairs: list[tuple[int, int]]) -> None:
    truth, scores = np.array([one for one, _ in pairs]), np.array([score / 6 for _, score in pairs])
    assert f1(truth, scores) == pytest.approx(f1_score(truth, scores >= 0.5, zero_division=0.0))
    expected = precision_score(truth, scores >= 0.5, zero_division=np.nan)
    np.testing.assert_allclose(precision(truth, scores), expected)
    if truth.any():
        assert auprc(truth, scores) == pytest.approx(average_precision_score(truth, scores))
    if len(set(truth.tolist())) == 2:
        assert auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
        found, wrong = ranked_counts(truth, scores)
        false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
        np.testing.assert_allclose([0, *wrong / wrong[-1]], false)
        np.testing.assert_allclose([0, *found / found[-1]], true)
    else:
        assert np.isnan(auroc(truth, scores))


@settings(deadline=None, max_examples=10)
@given(some.lists(some.tuples(some.integers(0, 2), some.integers(0, 2)), min_size=2, max_size=12))
def test_macro_f1_equals_the_library(pairs: list[tuple[int, int]]) -> None:
    truth, answers = ([pair[place] for pair in pairs] for place in (0, 1))
    found = macro_scores(truth, np.eye(3)[answers], ["one"] * len(pairs))["macro F1"].value
    expected = f1_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0.0)
    assert found == pytest.approx(expected)
    np.testing.assert_array_equal(confusion(truth, answers, 3), confusion_matrix(truth, answers, labels=[0, 1, 2]))


def test_wanted_scores_alone_and_the_share_that_is_answered() -> None:
    truth, scores = [1, 0, 1, 0, 1, 0], [0.9, 0.1, 0.8, 0.3, 0.2, 0.6]
    every = binary_scores(truth, scores, list("abcdef"))
    assert binary_scores(truth, scores, list("abcdef"), wanted=("AUROC",)) == {"AUROC": every["AUROC"]}
    found = coverage_of(np.array([True, True, False, True]), list("abcd"))
    assert found.value == 0.75
    assert found.interval is not None
    assert found.interval.low < 0.75 < found.interval.high
