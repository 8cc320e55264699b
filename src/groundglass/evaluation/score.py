"""From the masks of one volume to its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.evaluation.cases import LabelledCase, Masks, Planes, Spacing, require_one_grid
from groundglass.evaluation.metrics import NOTHING, Overlap, overlap
from groundglass.evaluation.predict import Prediction
from groundglass.evaluation.records import (
    METRICS,
    Histogram,
    InvolvementScore,
    Scores,
    SliceScore,
    StructureScore,
    VolumeScore,
)
from groundglass.evaluation.structures import INFECTION, LUNGS, Structure
from groundglass.evaluation.surface import SurfaceAgreement, surface_agreement

LEVELS = 256


def score_volume(
    case: LabelledCase,
    truth: Masks,
    prediction: Prediction,
    structures: Sequence[Structure],
    *,
    thresholds: dict[str, float],
    surfaces: bool = True,
    same_voxels: bool = False,
) -> tuple[VolumeScore, list[SliceScore]]:
    """Score one volume and each of its slices.

    Args:
        case: which volume.
        truth: its true masks.
        prediction: what is compared with them.
        structures: what is scored; those without truth or prediction are left out.
        thresholds: structure -> probability from which a voxel was counted.
        surfaces: compute NSD and HD95 where the spacing is known.
        same_voxels: headers were not to count; the message of an error says no more about that then.

    Raises:
        GeometryMismatchError: prediction and truth lie on different grids.
        InvalidImageError: they differ in size or number of slices.
    """
    if truth.geometry is not None and prediction.masks.geometry is not None:
        require_one_grid(case.name, truth.geometry, prediction.masks.geometry, same_voxels=same_voxels)
    present = [one for one in structures if one.name in truth.planes and one.name in prediction.masks.planes]
    found, slices = [], []
    for structure in present:
        real, mask = truth.planes[structure.name], prediction.masks.planes[structure.name]
        _require_same_slices(case.name, mask, real)
        counts = [overlap(*pair) for pair in zip(mask, real, strict=True)]
        spacing = truth.spacing_mm if surfaces else None
        whole = _surface(mask, real, spacing, structure)
        maps = prediction.probabilities.get(structure.name)
        histogram = _histogram(maps, real) if maps is not None else None
        own = _slice_scores(case, structure, counts, _slice_surfaces(mask, real, spacing, structure), truth.spacing_mm)
        whole_score = _structure_score(
            sum(counts, start=NOTHING), whole, structure, truth.spacing_mm, thresholds.get(structure.name), histogram
        )
        found.append(whole_score.model_copy(update=_by_slice(own)))
        slices += own
    score = VolumeScore(
        volume=case.name,
        patient=case.patient,
        fold=case.fold,
        kind=case.kind,
        slices=len(next(iter(truth.planes.values()))),
        spacing_mm=list(truth.spacing_mm) if truth.spacing_mm else None,
        structures=found,
        involvement=_involvement(truth, prediction),
    )
    return score, slices


def scores_of(counted: Overlap, surface: SurfaceAgreement | None) -> Scores:
    """The record of one comparison."""
    return Scores(
        truth=counted.truth,
        predicted=counted.predicted,
        both=counted.both,
        total=counted.total,
        empty=counted.empty,
        dice=counted.dice,
        iou=counted.iou,
        precision=counted.precision,
        recall=counted.recall,
        accuracy=counted.accuracy,
        nsd=surface.nsd if surface else None,
        hd95_mm=surface.hd95_mm if surface else None,
    )


def _structure_score(
    counted: Overlap,
    surface: SurfaceAgreement | None,
    structure: Structure,
    spacing: Spacing | None,
    threshold: float | None,
    histogram: Histogram | None,
) -> StructureScore:
    voxel_ml = _voxel_ml(spacing)
    error_ml, error_percent = _volume_errors(counted, voxel_ml)
    return StructureScore(
        structure=structure.name,
        threshold=threshold,
        tolerance_mm=structure.tolerance_mm,
        scores=scores_of(counted, surface),
        truth_ml=counted.truth * voxel_ml if voxel_ml else None,
        predicted_ml=counted.predicted * voxel_ml if voxel_ml else None,
        volume_error_ml=error_ml,
        volume_error_percent=error_percent,
        histogram=histogram,
    )


def _voxel_ml(spacing: Spacing | None) -> float | None:
    return float(np.prod(spacing)) / 1000.0 if spacing else None


def _volume_errors(counted: Overlap, voxel_ml: float | None) -> tuple[float | None, float | None]:
    """Prediction minus truth in ml and in percent of the truth."""
    relative = counted.volume_error
    error_ml = (counted.predicted - counted.truth) * voxel_ml if voxel_ml else None
    return error_ml, None if relative is None else 100.0 * relative


def _slice_scores(
    case: LabelledCase,
    structure: Structure,
    counts: Sequence[Overlap],
    surfaces: Sequence[SurfaceAgreement | None],
    spacing: Spacing | None,
) -> list[SliceScore]:
    rows = []
    for index, (counted, surface) in enumerate(zip(counts, surfaces, strict=True)):
        error_ml, error_percent = _volume_errors(counted, _voxel_ml(spacing))
        rows.append(
            SliceScore(
                volume=case.name,
                patient=case.patient,
                slice=index,
                structure=structure.name,
                scores=scores_of(counted, surface),
                volume_error_ml=error_ml,
                volume_error_percent=error_percent,
            )
        )
    return rows


def _slice_surfaces(
    mask: Planes, real: Planes, spacing: Spacing | None, structure: Structure
) -> list[SurfaceAgreement | None]:
    if not spacing:
        return [None] * len(real)
    return [
        surface_agreement(one, truth, spacing[:2], tolerance_mm=structure.tolerance_mm)
        for one, truth in zip(mask, real, strict=True)
    ]


def _by_slice(slices: Sequence[SliceScore]) -> dict[str, Any]:
    """What a structure keeps of its slices: numbers alone."""
    return {
        "by_slice": {metric: [slice_metric(one, metric) for one in slices] for metric in METRICS},
        "empty_slices": sum(one.scores.empty == "both" for one in slices),
    }


def slice_metric(one: SliceScore, metric: str) -> float | None:
    """One of `METRICS` in a slice; None where it is not known."""
    value = getattr(one if metric.startswith("volume_error") else one.scores, metric)
    return None if value is None else float(value)


def _surface(mask: Planes, real: Planes, spacing: Spacing | None, structure: Structure) -> SurfaceAgreement | None:
    """Agreement of the surfaces of whole volumes; None without a spacing, or where slices differ in size."""
    if not spacing or any(first.shape != second.shape for first, second in pairwise(real)):
        return None
    rows, columns, between = spacing
    stacks = np.stack(mask), np.stack(real)
    return surface_agreement(*stacks, (between, rows, columns), tolerance_mm=structure.tolerance_mm)


def _histogram(maps: list[NDArray[np.uint8]], real: Planes) -> Histogram:
    inside, outside = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    for plane, truth in zip(maps, real, strict=True):
        every = np.bincount(plane.ravel(), minlength=LEVELS)
        within = np.bincount(plane[truth], minlength=LEVELS)
        inside += within
        outside += every - within
    return Histogram(inside=inside.tolist(), outside=outside.tolist())


def _involvement(truth: Masks, prediction: Prediction) -> InvolvementScore | None:
    """Infected share of the lungs; the lungs include the infection. None without lungs in either."""
    names = (LUNGS.name, INFECTION.name)
    if not all(name in truth.planes and name in prediction.masks.planes for name in names):
        return None
    true_lungs, true_infection = (truth.planes[name] for name in names)
    lungs, infection = (prediction.masks.planes[name] for name in names)
    real = sum(int(np.count_nonzero(lung | sick)) for lung, sick in zip(true_lungs, true_infection, strict=True))
    found = sum(int(np.count_nonzero(lung)) for lung in lungs)
    if real == 0 or found == 0:
        return None
    sick = sum(int(np.count_nonzero(plane)) for plane in true_infection)
    called = sum(int(np.count_nonzero(lung & plane)) for lung, plane in zip(lungs, infection, strict=True))
    counts = None
    if maps := prediction.probabilities.get(INFECTION.name):
        counted = sum(np.bincount(plane[lung], minlength=LEVELS) for plane, lung in zip(maps, lungs, strict=True))
        counts = np.asarray(counted).tolist()
    return InvolvementScore(
        truth_percent=100.0 * sick / real, predicted_percent=100.0 * called / found, by_probability=counts
    )


def _require_same_slices(name: str, mask: Planes, real: Planes) -> None:
    if len(mask) != len(real):
        raise InvalidImageError(f"{name}: {len(mask)} predicted slices, {len(real)} true ones; expected the same")
