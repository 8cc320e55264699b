"""Scores of a classifier, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from groundglass.analysis import Interval

RESAMPLES = 1000
CONFIDENCE = 0.95
FEWEST_PATIENTS = 4
BINS = 10

Floats = NDArray[np.floating[Any]]
Truth = NDArray[np.integer[Any]]
Score = Callable[[Truth, Floats], float]


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; None where there are too few patients, or the score is not defined."""

    value: float | None
    interval: Interval | None


def auroc(truth: Truth, scores: Floats) -> float:
    """Area under the ROC curve of a binary truth; nan where one of the classes is missing.

    From ranks (Mann and Whitney 1947): a tenth of the time of the curve itself, which a thousand resamples feel.
    """
    positive = np.asarray(truth) == 1
    found, missed = int(positive.sum()), int((~positive).sum())
    if not found or not missed:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - found * (found + 1) / 2) / (found * missed))


def ranked_counts(truth: Truth, scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and false positives from each of the probabilities that occur, the highest first."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    falls = np.diff(np.asarray(scores)[order]) != 0
    ends = np.append(np.flatnonzero(falls), len(order) - 1)
    found = np.cumsum(np.asarray(truth)[order] == 1)[ends]
    return found.astype(np.int64), (ends + 1 - found).astype(np.int64)


def auprc(truth: Truth, scores: Floats) -> float:
    """Average precision of a binary truth: the precision at each gain of recall; nan without positives."""
    if not np.asarray(truth).any():
        return float("nan")
    found, wrong = ranked_counts(truth, scores)
    return float(np.sum(np.diff(found, prepend=0) * found / (found + wrong)) / found[-1])


def f1(truth: Truth, scores: Floats) -> float:
    """F1 of the positive class at a probability of one half; 0 where nothing is found."""
    answers, positive = np.asarray(scores) >= 0.5, np.asarray(truth) == 1
    both = int(answers.sum()) + int(positive.sum())
    return 2.0 * int((answers & positive).sum()) / both if both else 0.0


def accuracy(truth: Truth, scores: Floats) -> float:
    """Share of right answers at a probability of one half."""
    return float(np.mean((scores >= 0.5) == (truth == 1)))


def sensitivity(truth: Truth, scores: Floats) -> float:
    """Share of the positives that are found at one half; nan without positives."""
    return float(np.mean(scores[truth == 1] >= 0.5)) if (truth == 1).any() else float("nan")


def specificity(truth: Truth, scores: Floats) -> float:
    """Share of the negatives that are left alone at one half; nan without negatives."""
    return float(np.mean(scores[truth == 0] < 0.5)) if (truth == 0).any() else float("nan")


def precision(truth: Truth, scores: Floats) -> float:
    """Share of what is called positive at one half that is; nan where nothing is."""
    called = scores >= 0.5
    return float(np.mean(truth[called] == 1)) if called.any() else float("nan")


def brier(truth: Truth, scores: Floats) -> float:
    """Mean squared difference between probability and truth (Brier 1950)."""
    return float(np.mean((scores - truth) ** 2))


def calibration_error(truth: Truth, scores: Floats) -> float:
    """Expected calibration error over ten equal bins of the probability (Naeini et al. 2015)."""
    bins = reliability(truth, scores)
    return float(sum(count * abs(share - probability) for count, probability, share in bins) / len(truth))


def reliability(truth: Truth, scores: Floats) -> list[tuple[int, float, float]]:
    """Slices, mean probability and share of positives in each of ten equal bins of the probability that has slices."""
    which = np.minimum((np.asarray(scores) * BINS).astype(int), BINS - 1)
    inside = (which == index for index in np.unique(which))
    return [(int(one.sum()), float(scores[one].mean()), float(truth[one].mean())) for one in inside]


BINARY: dict[str, Score] = {
    "F1": f1,
    "AUROC": auroc,
    "AUPRC": auprc,
    "accuracy": accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "precision": precision,
    "Brier": brier,
    "ECE": calibration_error,
}


def binary_scores(
    truth: Sequence[int] | Truth,
    scores: Sequence[float] | Floats,
    patients: Sequence[str],
    *,
    wanted: Collection[str] = BINARY,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Binary scores with their intervals.

    Args:
        truth: 1 or 0 per slice.
        scores: probability of 1 per slice.
        patients: whose slice it is; patients are resampled with all their slices.
        wanted: keys of `BINARY`.
        seed: of the resampling.
    """
    known, given = np.asarray(truth, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    resamples = patient_resamples(patients, seed=seed)
    found = {}
    for name in wanted:
        score = BINARY[name]
        value = score(known, given)
        spread = [score(known[drawn], given[drawn]) for drawn in resamples]
        found[name] = Estimate(None if np.isnan(value) else value, percentile_interval(spread))
    return found


def coverage_of(answered: NDArray[np.bool_], patients: Sequence[str], *, seed: int = 0) -> Estimate:
    """Share of the slices that are answered, with its interval.

    Args:
        answered: per slice.
        patients: whose slice it is; patients are resampled with all their slices.
        seed: of the resampling.
    """
    spread = [float(answered[drawn].mean()) for drawn in patient_resamples(patients, seed=seed)]
    return Estimate(float(answered.mean()), percentile_interval(spread))


def patient_resamples(patients: Sequence[str], *, seed: int = 0, count: int = RESAMPLES) -> list[NDArray[np.int64]]:
    """Numbers of the slices of resampled patients, patients drawn with replacement; empty with too few patients."""
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < FEWEST_PATIENTS:
        return []
    members = [np.flatnonzero(index == place) for place in range(len(names))]
    rng = np.random.default_rng(seed)
    return [np.concatenate([members[place] for place in rng.integers(0, len(names), len(names))]) for _ in range(count)]


def percentile_interval(values: Sequence[float]) -> Interval | None:
    """Percentile interval of resampled scores; those that are not defined are left out."""
    defined = [value for value in values if not np.isnan(value)]
    if len(defined) < 2:
        return None
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(low=float(low), high=float(high))


def macro_scores(
    truth: Sequence[int], probabilities: Floats, patients: Sequence[str], *, seed: int = 0
) -> dict[str, Estimate]:
    """Macro F1 and macro one-against-the-rest AUROC over the classes that the truth has, with intervals.

    Args:
        truth: number of the class per slice.
        probabilities: (slice, class).
        patients: whose slice it is.
        seed: of the resampling.
    """
    known, classes = np.asarray(truth), np.unique(truth)
    resamples = patient_resamples(patients, seed=seed)

    def macro_f1(drawn: NDArray[np.int64]) -> float:
        answers = probabilities[drawn].argmax(axis=1)
        return float(np.mean([f1(known[drawn] == one, np.asarray(answers == one, float)) for one in classes]))

    def macro_auroc(drawn: NDArray[np.int64]) -> float:
        return float(np.mean([auroc((known[drawn] == one).astype(int), probabilities[drawn, one]) for one in classes]))

    everything = np.arange(len(known))
    found = {}
    for name, score in (("macro F1", macro_f1), ("macro AUROC", macro_auroc)):
        value = score(everything)
        spread = percentile_interval([score(drawn) for drawn in resamples])
        found[name] = Estimate(None if np.isnan(value) else value, spread)
    return found


def confusion(truth: Sequence[int], answers: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Confusion matrix (truth, answer) of class numbers."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (np.asarray(truth, dtype=np.int64), np.asarray(answers, dtype=np.int64)), 1)
    return table
