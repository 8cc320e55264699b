"""The record of one evaluation: what `evaluation.json` holds.

A number that cannot be known (millilitres and distances without a spacing) is None, never guessed. `SCHEMA_VERSION`
changes its first figure when a key changes meaning or goes away.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from groundglass.analysis import Interval, ModelRecord, Record
from groundglass.models.catalog import InvolvementBand

SCHEMA_VERSION = "1.0"
METRICS = (
    "dice",
    "iou",
    "precision",
    "recall",
    "accuracy",
    "nsd",
    "hd95_mm",
    "volume_error_percent",
    "volume_error_ml",
)
"""Metrics of a volume, in the order of tables. Higher is better for the first six, lower for `hd95_mm`, nearer to zero
for the last two."""


class Scores(Record):
    """How far one mask agrees with the truth; docs/evaluation.md has every formula.

    `truth`, `predicted` and `both` are counts of voxels; `empty` names the mask without any.
    """

    truth: int
    predicted: int
    both: int
    total: int
    empty: Literal["neither", "prediction", "truth", "both"]
    dice: float
    iou: float
    precision: float
    recall: float
    accuracy: float
    nsd: float | None
    hd95_mm: float | None


class SliceScore(Record):
    """One structure in one slice; `volume_error` as in `StructureScore`, of the slice with its thickness."""

    volume: str
    patient: str
    slice: int
    structure: str
    scores: Scores
    volume_error_ml: float | None
    volume_error_percent: float | None


class Histogram(Record):
    """Voxels by probability (256 bins of 0..255 for 0..1), in the truth and outside of it.

    Every threshold's overlap follows from it exactly, so that no probability has to be kept.
    """

    inside: list[int]
    outside: list[int]


class StructureScore(Record):
    """One structure in one volume.

    Volumes are in millilitres; `volume_error` is prediction minus truth, in percent of the truth (None where the truth
    alone is empty). `by_slice` has the metrics of `METRICS` in every slice; `empty_slices` is the number of slices that
    are empty in truth and prediction.
    """

    structure: str
    threshold: float | None
    tolerance_mm: float
    scores: Scores
    truth_ml: float | None
    predicted_ml: float | None
    volume_error_ml: float | None
    volume_error_percent: float | None
    histogram: Histogram | None = None
    by_slice: dict[str, list[float | None]] = Field(default_factory=dict)
    empty_slices: int = 0


class InvolvementScore(Record):
    """Infected share of the lung, in percent: by the truth and by the prediction.

    `by_probability` counts voxels of the predicted lungs by their infection probability (256 bins).
    """

    truth_percent: float
    predicted_percent: float
    by_probability: list[int] | None = None


class VolumeScore(Record):
    """Everything measured on one volume. `learned_from`: the network has seen it, so it counts in no summary."""

    volume: str
    patient: str
    fold: int | None
    kind: Literal["pictures", "scan"]
    slices: int
    spacing_mm: list[float] | None
    learned_from: bool = False
    structures: list[StructureScore]
    involvement: InvolvementScore | None = None

    def of(self, structure: str) -> StructureScore | None:
        """The scores of one structure, if it was scored."""
        return next((one for one in self.structures if one.structure == structure), None)


class MetricSummary(Record):
    """A metric over volumes. `interval` is the 95 % bootstrap interval of the mean, over patients."""

    metric: str
    volumes: int
    mean: float
    sd: float | None
    median: float
    interval: Interval | None
    worst: float
    worst_volume: str


class SliceSummary(Record):
    """A metric over the slices of all volumes, where it is known; slices of one patient are alike, so no interval."""

    metric: str
    slices: int
    mean: float
    sd: float | None
    median: float


class Agreement(Record):
    """Bland-Altman: prediction minus truth over volumes, with 95 % limits of agreement (bias +- 1.96 SD)."""

    quantity: Literal["volume", "area", "involvement"]
    unit: Literal["ml", "pixels", "%"]
    volumes: int
    bias: float
    limits: Interval | None
    truth: list[float]
    predicted: list[float]
    names: list[str]


class Optimum(Record):
    """The threshold with the best mean."""

    threshold: float
    value: float


class Curves(Record):
    """Means over volumes for every threshold, and pooled precision and recall.

    `average_precision` is the area under the pooled precision-recall curve. `best_dice` and `best_iou` belong to the
    very volumes that the curves show: they are no threshold to report results at.
    """

    thresholds: list[float]
    dice: list[float]
    iou: list[float]
    precision: list[float]
    recall: list[float]
    pooled_precision: list[float]
    pooled_recall: list[float]
    average_precision: float
    best_dice: Optimum
    best_iou: Optimum


LONG_SLICES = 20


class StructureSummary(Record):
    """One structure over all volumes.

    `dice_of_long`: Dice of the volumes of `LONG_SLICES` or more slices, for a volume of a few slices can come out at 0
    or 1 by a few voxels. `slice_metrics`: over slices instead of volumes, `empty_slices` of which are empty in truth
    and prediction and count as agreement.
    """

    structure: str
    threshold: float | None
    threshold_from: str
    tolerance_mm: float
    volumes: int
    patients: int
    slices: int
    both_empty: int
    one_empty: int
    metrics: list[MetricSummary]
    slice_metrics: list[SliceSummary] = Field(default_factory=list)
    empty_slices: int = 0
    dice_of_long: MetricSummary | None = None
    agreement: Agreement | None
    curves: Curves | None
    validation: Optimum | None = None

    def metric(self, name: str) -> MetricSummary | None:
        """The summary of one metric, if it could be computed."""
        return next((one for one in self.metrics if one.metric == name), None)


class Failure(Record):
    """A volume that could not be scored, and why."""

    volume: str
    error: str
    message: str

    @property
    def text(self) -> str:
        """The message with the name of the volume, for many volumes have files of the same names."""
        return self.message if self.message.startswith(f"{self.volume}:") else f"{self.volume}: {self.message}"


class DataRecord(Record):
    """What was scored. `left_out`: volumes, or structures of volumes, without masks."""

    name: str
    layout: str
    folds: list[int] | None
    volumes: int
    patients: int
    slices: int
    left_out: list[str] = Field(default_factory=list)


class EvaluationRun(Record):
    """How the numbers came about."""

    groundglass: str
    options: dict[str, Any]
    started: str
    seconds: float
    peak_memory_mb: float
    python: str
    libraries: dict[str, str]
    precision: str | None


class FoldRecord(Record):
    """One fold of a cross-validation: the model that has not seen it, and how its thresholds were found."""

    fold: int
    model: ModelRecord
    patients: list[str]
    volumes: list[str]
    thresholds: dict[str, float]
    thresholds_from: str


class Evaluation(Record):
    """The whole record."""

    schema_version: str = SCHEMA_VERSION
    title: str
    protocol: str
    model: ModelRecord | None
    predictions: str | None
    data: DataRecord
    validation: DataRecord | None
    warnings: list[str]
    structures: list[StructureSummary]
    involvement: Agreement | None
    involvement_band: InvolvementBand | None = None
    volumes: list[VolumeScore]
    failures: list[Failure]
    folds: list[FoldRecord] = Field(default_factory=list)
    run: EvaluationRun

    def of(self, structure: str) -> StructureSummary | None:
        """The summary of one structure, if it was scored."""
        return next((one for one in self.structures if one.structure == structure), None)
