"""From answers to numbers: COVID against the rest, the classes apart, calibration, what was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.classes.answers import COVID, NOT_COVID, Judged
from groundglass.evaluation.classes.records import (
    BinRecord,
    ConfusionRecord,
    CovidScores,
    CurvesRecord,
    ScoreRecord,
    SourceScores,
)
from groundglass.evaluation.classification import (
    Estimate,
    binary_scores,
    coverage_of,
    macro_scores,
    ranked_counts,
    reliability,
)

COVERAGE = "coverage"
NO_ANSWER = "abstained"
LABELS = (COVID, "OtherPneumonia", "Normal", NOT_COVID)
"""The order of labels in tables."""


def covid_truth(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """1 for each slice whose label says COVID, else 0."""
    return np.array([one.covid for one in judged], dtype=np.int64)


def covid_probability(judged: Sequence[Judged]) -> NDArray[np.float64]:
    """Probability of COVID, the first class, of each slice."""
    return np.array([one.answer.probabilities[0] for one in judged], dtype=np.float64)


def groups(judged: Sequence[Judged]) -> list[str]:
    """Whose slice each is; a slice of nobody known stands for itself."""
    return [one.slice.group for one in judged]


def patients(judged: Sequence[Judged]) -> int:
    """How many patients there are, of those whom the data name."""
    return len({one.slice.group for one in judged if one.slice.patient})


def resampled(judged: Sequence[Judged]) -> str:
    """What the bootstrap draws, in words."""
    known = sum(one.slice.patient is not None for one in judged)
    if known == len(judged):
        return "patients, each with all of their slices"
    if not known:
        return "slices, for the data do not say whose they are: read the intervals as too narrow"
    return (
        f"patients, each with all of their slices, and singly the {len(judged) - known} slices whose patient is not "
        "known: read the intervals as too narrow"
    )


def covid_scores(judged: Sequence[Judged], *, seed: int = 0) -> CovidScores:
    """COVID against everything else, from a probability of one half.

    Args:
        judged: the slices, one at least.
        seed: of the bootstrap.
    """
    truth = covid_truth(judged)
    found = binary_scores(truth, covid_probability(judged), groups(judged), seed=seed)
    return CovidScores(
        slices=len(judged), covid=int(truth.sum()), patients=patients(judged), scores=score_records(found)
    )


def answered(judged: Sequence[Judged]) -> list[Judged]:
    """The slices for which a class was named."""
    return [one for one in judged if one.answer.label is not None]


def answered_scores(judged: Sequence[Judged], *, seed: int = 0) -> CovidScores | None:
    """The scores of the slices that were answered; None where none was."""
    kept = answered(judged)
    return covid_scores(kept, seed=seed) if kept else None


def coverage(judged: Sequence[Judged], *, seed: int = 0) -> ScoreRecord:
    """Share of the slices that were answered."""
    given = np.array([one.answer.label is not None for one in judged], dtype=bool)
    return score_records({COVERAGE: coverage_of(given, groups(judged), seed=seed)})[0]


def classes_apart(judged: Sequence[Judged], classes: Sequence[str], *, seed: int = 0) -> list[ScoreRecord] | None:
    """Macro F1 and AUROC over three classes, of the slices whose label names one; None where a class has none.

    Args:
        judged: the slices.
        classes: of the classifier.
        seed: of the bootstrap.
    """
    named = [one for one in judged if one.slice.label in classes]
    if len(classes) < 3 or {one.slice.label for one in named} != set(classes):
        return None
    shares = np.stack([one.answer.probabilities for one in named])
    truth = [classes.index(one.slice.label) for one in named]
    return score_records(macro_scores(truth, shares, groups(named), seed=seed))


def confusion_record(judged: Sequence[Judged], classes: Sequence[str]) -> ConfusionRecord:
    """Slices by label and answer; slices without an answer have a column of their own where there are any."""
    counts = Counter((one.slice.label, one.answer.label or NO_ANSWER) for one in judged)
    labels = sorted({label for label, _ in counts}, key=LABELS.index)
    answers = [*classes, *([NO_ANSWER] if any(answer == NO_ANSWER for _, answer in counts) else [])]
    table = [[counts[label, answer] for answer in answers] for label in labels]
    return ConfusionRecord(labels=labels, answers=answers, counts=table)


def curves_record(judged: Sequence[Judged]) -> CurvesRecord:
    """ROC and precision-recall curve of the probability of COVID."""
    truth, shares = covid_truth(judged), covid_probability(judged)
    if truth.all() or not truth.any():
        return CurvesRecord(false_positive_rate=[], true_positive_rate=[], precision=[], recall=[])
    found, wrong = ranked_counts(truth, shares)
    return CurvesRecord(
        false_positive_rate=[0.0, *(wrong / wrong[-1]).tolist()],
        true_positive_rate=[0.0, *(found / found[-1]).tolist()],
        precision=[1.0, *(found / (found + wrong)).tolist()],
        recall=[0.0, *(found / found[-1]).tolist()],
    )


def reliability_record(judged: Sequence[Judged]) -> list[BinRecord]:
    """How often slices are COVID, by their probability of it."""
    bins = reliability(covid_truth(judged), covid_probability(judged))
    return [BinRecord(slices=count, probability=mean, share=share) for count, mean, share in bins]


def source_scores(judged: Sequence[Judged], *, seed: int = 0) -> list[SourceScores]:
    """The scores of each source; none where there is only one."""
    names = sorted({one.slice.source for one in judged})
    parts = {name: [one for one in judged if one.slice.source == name] for name in names}
    return [
        SourceScores(
            source=name,
            covid=covid_scores(part, seed=seed),
            answered=answered_scores(part, seed=seed),
            coverage=coverage(part, seed=seed),
        )
        for name, part in parts.items()
        if len(names) > 1
    ]


def score_records(found: Mapping[str, Estimate]) -> list[ScoreRecord]:
    """Scores as the record has them."""
    return [ScoreRecord(name=name, value=one.value, interval=one.interval) for name, one in found.items()]
