"""What a cross-validation is told and what it reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from groundglass.analysis import Record
from groundglass.evaluation.collect import Collected
from groundglass.evaluation.involvement import COVERAGE, BandShape, fewest_patients, fit_band, patient_scores
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.records import Evaluation, EvaluationRun, Failure, FoldRecord, VolumeScore
from groundglass.evaluation.structures import INFECTION, LUNGS
from groundglass.evaluation.summary import EvaluationOptions, describe, left_out_warnings, summary_record
from groundglass.models.catalog import InvolvementBand
from groundglass.training.crossval_splits import Split

Thresholds = Literal["card", "validation", "others"]
LEAK = (
    "LEAK: slices were split at random, so slices of one patient lie on both sides. These numbers show how much that "
    "flatters a network; they say nothing about new patients."
)
SOURCES: Mapping[str, str] = {
    "card": "the model card, not tuned",
    "validation": "a validation fold that was neither learned from nor scored",
    "others": "the out-of-fold predictions of the other folds",
}


@dataclass(frozen=True)
class CrossvalOptions:
    """Choices of a cross-validation.

    Attributes:
        split: by `patients`; by `slices` only to show the cost of leakage.
        folds: number of folds, where the data have none of their own.
        thresholds: where thresholds come from: the model `card`, a `validation` fold of each fold, or the out-of-fold
            predictions of the `others`.
        post_processing: clean lungs and infection as `analyze` does before scoring.
        surfaces: compute NSD and HD95 where the spacing is known.
        coverage: share of new patients that the interval of the involvement is meant for.
        seed: of dealt folds and of the bootstrap.
        recipe: everything else that the networks depend on, for telling runs apart.
    """

    split: Split = "patients"
    folds: int = 4
    thresholds: Thresholds = "card"
    post_processing: bool = False
    surfaces: bool = True
    coverage: float = COVERAGE
    seed: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """For the record of the run."""
        return {
            "split": self.split,
            "thresholds": self.thresholds,
            "post_processing": self.post_processing,
            "surfaces": self.surfaces,
            "coverage": self.coverage,
            "seed": self.seed,
            **self.recipe,
        }


class FoldScores(Record):
    """A finished fold on disk. `knows_learned`: the card of its network lists what it learned from."""

    signature: str
    knows_learned: bool
    fold: FoldRecord
    volumes: list[VolumeScore]
    failures: list[Failure]


def crossval_record(
    name: str, data: LabelledData, finished: Sequence[FoldScores], options: CrossvalOptions, run: EvaluationRun
) -> Evaluation:
    """Put the finished folds together: one summary over all out-of-fold predictions."""
    volumes = [volume for one in finished for volume in one.volumes]
    failures = [failure for one in finished for failure in one.failures]
    structures = tuple(
        structure for structure in (LUNGS, INFECTION) if any(volume.of(structure.name) for volume in volumes)
    )
    chosen = EvaluationOptions(structures, options.surfaces, seed=options.seed)
    whose = "patient" if options.split == "patients" else "slice (leaking)"
    how = "cleaned as analyze does" if options.post_processing else "without any post-processing"
    protocol = (
        f"{len(finished)}-fold cross-validation by {whose}: every volume is scored by the network that was trained "
        f"without its fold. Probabilities of the networks, {how}; thresholds from {SOURCES[options.thresholds]}. "
        "Voxels are pooled over the slices of a volume, means are over volumes, intervals over patients."
    )
    record = summary_record(
        Collected(volumes, failures),
        chosen,
        data=describe(data, None),
        title=f"{name}, cross-validated on {data.name}",
        protocol=protocol,
        model=None,
        run=run,
    )
    summaries = [one.model_copy(update={"threshold_from": SOURCES[options.thresholds]}) for one in record.structures]
    return record.model_copy(
        update={
            "structures": summaries,
            "folds": [one.fold for one in finished],
            "warnings": [
                *_warnings(options, failures, [one for one in finished if not one.knows_learned]),
                *left_out_warnings(data),
            ],
            "involvement_band": _band(volumes, protocol, options.coverage) if options.split == "patients" else None,
        }
    )


def _warnings(options: CrossvalOptions, failures: Sequence[Failure], unknown: Sequence[FoldScores]) -> list[str]:
    texts = [LEAK] if options.split == "slices" else []
    if failures:
        texts.append(f"{len(failures)} volumes could not be scored; they are listed below and count nowhere.")
    if unknown:
        texts.append(
            f"The cards of {len(unknown)} networks do not list what they learned from; that they have not seen what "
            "they are scored on rests on your word."
        )
    return texts


def _band(volumes: Sequence[VolumeScore], protocol: str, coverage: float) -> InvolvementBand | None:
    """The interval of the involvement, where there are patients enough to fit one."""
    if len(patient_scores(volumes, BandShape())) < fewest_patients(coverage):
        return None
    return fit_band(volumes, protocol=protocol, coverage=coverage)
