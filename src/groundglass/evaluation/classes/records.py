"""The record of an evaluation of a classifier: what its `evaluation.json` holds.

A score that is not defined (AUROC where a class is missing) is None. `SCHEMA_VERSION` changes its first figure when a
key changes meaning or goes away.
"""

from __future__ import annotations

from typing import Literal

from groundglass.analysis import Interval, ModelRecord, Record
from groundglass.evaluation.records import EvaluationRun

SCHEMA_VERSION = "1.0"


class ScoreRecord(Record):
    """One score, 0 to 1, with its 95 % bootstrap interval."""

    name: str
    value: float | None
    interval: Interval | None


class CovidScores(Record):
    """COVID against everything else on some slices. `patients`: how many of them are known by name."""

    slices: int
    covid: int
    patients: int
    scores: list[ScoreRecord]

    def of(self, name: str) -> ScoreRecord:
        """One score by its name."""
        return next(one for one in self.scores if one.name == name)


class SourceScores(Record):
    """What `covid`, `answered` and `coverage` are, for the slices of one source."""

    source: str
    covid: CovidScores
    answered: CovidScores | None
    coverage: ScoreRecord


class ConfusionRecord(Record):
    """Slices by their label (rows) and by the answer (columns); the last answer is that none was given."""

    labels: list[str]
    answers: list[str]
    counts: list[list[int]]


class CurvesRecord(Record):
    """ROC and precision-recall curve of the probability of COVID; empty where all or none of the slices are COVID."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    precision: list[float]
    recall: list[float]


class BinRecord(Record):
    """Slices whose probability of COVID lies in a tenth: how many, its mean there, and the share that is COVID."""

    slices: int
    probability: float
    share: float


class ScoredData(Record):
    """What was scored. `part` is None for all of the data; `labels` and `sources` count slices."""

    name: str
    part: str | None
    slices: int
    patients: int
    labels: dict[str, int]
    sources: dict[str, int]


class NotScored(Record):
    """A slice that could not be scored, and why."""

    slice: str
    source: str
    error: str
    message: str


class ClassifierEvaluation(Record):
    """The whole record.

    `resampled` says what the intervals resample; `answered` is None where no slice was answered, and `classes_apart`
    (macro scores over all classes) where the labels do not name every class of the classifier.
    """

    schema_version: str = SCHEMA_VERSION
    kind: Literal["classification"] = "classification"
    title: str
    protocol: str
    models: list[ModelRecord]
    classes: list[str]
    data: ScoredData
    resampled: str
    warnings: list[str]
    covid: CovidScores
    answered: CovidScores | None
    coverage: ScoreRecord
    classes_apart: list[ScoreRecord] | None
    confusion: ConfusionRecord
    curves: CurvesRecord
    reliability: list[BinRecord]
    sources: list[SourceScores]
    failures: list[NotScored]
    run: EvaluationRun

    @property
    def partly_answered(self) -> CovidScores | None:
        """The scores of the slices that were answered, where that was neither none nor all of them."""
        return self.answered if self.answered and self.answered.slices < self.covid.slices else None
