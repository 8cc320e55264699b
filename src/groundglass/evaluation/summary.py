"""From scores of volumes to the record of an evaluation."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any

from groundglass import __version__
from groundglass.analysis import ModelRecord
from groundglass.evaluation.collect import Collected, Scoring
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.records import (
    LONG_SLICES,
    DataRecord,
    Evaluation,
    EvaluationRun,
    StructureSummary,
    VolumeScore,
)
from groundglass.evaluation.statistics import (
    involvement_agreement,
    summarise,
    summarise_slices,
    volume_agreement,
)
from groundglass.evaluation.structures import Structure
from groundglass.evaluation.sweep import curves
from groundglass.models.catalog import ModelCard
from groundglass.runrecord import peak_memory_mb

LIBRARIES = ("numpy", "scipy", "surface-distance", "openvino", "opencv-python-headless", "matplotlib")


@dataclass(frozen=True)
class EvaluationOptions:
    """Choices of one evaluation.

    Attributes:
        structures: what is scored.
        surfaces: compute NSD and HD95 where the spacing is known.
        same_voxels: compare scans voxel by voxel, whatever their headers say.
        include_learned: also score volumes that the network learned from; they count in no summary.
        folds: folds of the data that are scored, for the record.
        seed: of the bootstrap.
    """

    structures: tuple[Structure, ...]
    surfaces: bool = True
    same_voxels: bool = False
    include_learned: bool = False
    folds: tuple[int, ...] | None = None
    seed: int = 0

    @property
    def scoring(self) -> Scoring:
        """How volumes are scored."""
        return Scoring(self.structures, self.surfaces, self.same_voxels)

    def as_record(self) -> dict[str, Any]:
        """For the record of the run."""
        names = [structure.name for structure in self.structures]
        return {
            "structures": names,
            "surfaces": self.surfaces,
            "same_voxels": self.same_voxels,
            "include_learned": self.include_learned,
            "seed": self.seed,
        }


def summary_record(
    found: Collected,
    options: EvaluationOptions,
    *,
    data: DataRecord,
    title: str,
    protocol: str,
    model: ModelRecord | None,
    run: EvaluationRun,
) -> Evaluation:
    """Put scores of volumes together; volumes that the network learned from count in no summary."""
    unseen = [one for one in found.volumes if not one.learned_from] or found.volumes
    names = [one.name for one in options.structures if any(volume.of(one.name) for volume in unseen)]
    return Evaluation(
        title=title,
        protocol=protocol,
        model=model,
        predictions=None,
        data=data,
        validation=None,
        warnings=[],
        structures=[summarise_structure(unseen, name, options.seed) for name in names],
        involvement=involvement_agreement(unseen),
        volumes=found.volumes,
        failures=found.failures,
        run=run,
    )


def summarise_structure(volumes: Sequence[VolumeScore], name: str, seed: int) -> StructureSummary:
    """One structure over volumes."""
    known = [(one, score) for one in volumes if (score := one.of(name)) is not None]
    scores = [score for _, score in known]
    thresholds = {score.threshold for score in scores}
    long = [one for one, _ in known if one.slices >= LONG_SLICES]
    histograms = [score.histogram for score in scores if score.histogram is not None]
    return StructureSummary(
        structure=name,
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        threshold_from="the model card" if histograms else "the masks as given",
        tolerance_mm=scores[0].tolerance_mm,
        volumes=len(known),
        patients=len({one.patient for one, _ in known}),
        slices=sum(one.slices for one, _ in known),
        both_empty=sum(score.scores.empty == "both" for score in scores),
        one_empty=sum(score.scores.empty in ("prediction", "truth") for score in scores),
        metrics=summarise(volumes, name, seed=seed),
        slice_metrics=summarise_slices(volumes, name),
        empty_slices=sum(score.empty_slices for score in scores),
        dice_of_long=next(iter(summarise(long, name, seed=seed, metrics=("dice",))), None),
        agreement=volume_agreement(volumes, name),
        curves=curves(histograms) if histograms else None,
    )


def model_record(card: ModelCard) -> ModelRecord:
    """Name and checksum of a network."""
    return ModelRecord(name=card.name, sha256=card.sha256)


def describe(data: LabelledData, folds: tuple[int, ...] | None) -> DataRecord:
    """What was scored, for the record."""
    return DataRecord(
        name=data.name,
        layout=data.layout,
        folds=list(folds) if folds else None,
        volumes=len(data.cases),
        patients=len(data.patients),
        slices=sum(len(case.images) for case in data.cases) if _pictures(data) else 0,
        left_out=list(data.left_out),
    )


def left_out_warnings(data: LabelledData) -> list[str]:
    """That some volumes have no masks, in a sentence; nothing where all have."""
    if not data.left_out:
        return []
    names = ", ".join(data.left_out[:10]) + (f" and {len(data.left_out) - 10} more" if len(data.left_out) > 10 else "")
    return [f"Without masks, so not scored: {names}. Add the masks, or take the scans out of the data."]


def run_record(options: dict[str, Any], started: datetime, clock: float, precision: str | None) -> EvaluationRun:
    """Versions, seconds and memory."""
    return EvaluationRun(
        groundglass=__version__,
        options=options,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - clock, 2),
        peak_memory_mb=round(peak_memory_mb(), 1),
        python=platform.python_version(),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        precision=precision,
    )


def _pictures(data: LabelledData) -> bool:
    return all(case.kind == "pictures" for case in data.cases)
