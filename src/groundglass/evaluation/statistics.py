"""From the numbers of volumes to means with intervals, by patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groundglass.analysis import Interval
from groundglass.evaluation.records import METRICS, Agreement, MetricSummary, SliceSummary, VolumeScore

RESAMPLES = 9999
CONFIDENCE = 0.95
FEWEST_PATIENTS = 4


def patient_interval(
    values: Sequence[float], patients: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % bootstrap interval of the mean over volumes, patients being resampled with all their volumes.

    Bias-corrected and accelerated (BCa, Efron 1987); the acceleration comes from leaving out one patient at a time.

    Args:
        values: one number per volume.
        patients: whose volume it is.
        seed: of the resampling; the same seed gives the same interval.
        resamples: number of resamplings.

    Returns:
        None with fewer than `FEWEST_PATIENTS` patients: they say nothing about other patients.
    """
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < FEWEST_PATIENTS:
        return None
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(index).astype(np.float64)
    means = sums / counts
    if np.ptp(means) == 0:
        return Interval(low=float(means[0]), high=float(means[0]))

    def mean(drawn: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        chosen = drawn.astype(np.int64)
        return np.asarray(sums[chosen].sum(axis=axis) / counts[chosen].sum(axis=axis))

    found = stats.bootstrap(
        (np.arange(len(names), dtype=np.float64),),
        mean,
        n_resamples=resamples,
        batch=1000,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(low=float(found.low), high=float(found.high))


def summarise(
    volumes: Sequence[VolumeScore], structure: str, *, seed: int = 0, metrics: Sequence[str] = METRICS
) -> list[MetricSummary]:
    """Metrics of one structure over volumes; those that no volume has are left out."""
    rows = []
    for metric in metrics:
        known = [(one, value) for one in volumes if (value := metric_of(one, structure, metric)) is not None]
        if not known:
            continue
        values = [value for _, value in known]
        worst, bad = max(known, key=lambda pair: _badness(metric, pair[1]))
        rows.append(
            MetricSummary(
                metric=metric,
                volumes=len(values),
                mean=float(np.mean(values)),
                sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
                median=float(np.median(values)),
                interval=patient_interval(values, [one.patient for one, _ in known], seed=seed),
                worst=bad,
                worst_volume=worst.volume,
            )
        )
    return rows


def summarise_slices(volumes: Sequence[VolumeScore], structure: str) -> list[SliceSummary]:
    """Metrics of one structure over the slices of all volumes; those that no slice has are left out."""
    scores = [score for one in volumes if (score := one.of(structure)) is not None]
    if not all(score.by_slice for score in scores):
        return []  # folds of an earlier version did not keep their slices; a mean over the others would mislead
    rows = []
    for metric in METRICS:
        values = [value for score in scores for value in score.by_slice.get(metric, ()) if value is not None]
        if values:
            rows.append(
                SliceSummary(
                    metric=metric,
                    slices=len(values),
                    mean=float(np.mean(values)),
                    sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
                    median=float(np.median(values)),
                )
            )
    return rows


def metric_of(volume: VolumeScore, structure: str, metric: str) -> float | None:
    """One metric of one volume; None where it is not known."""
    score = volume.of(structure)
    if score is None:
        return None
    value = getattr(score if metric.startswith("volume_error") else score.scores, metric)
    return None if value is None else float(value)


def _badness(metric: str, value: float) -> float:
    if metric == "hd95_mm":
        return value
    return abs(value) if metric.startswith("volume_error") else -value


def volume_agreement(volumes: Sequence[VolumeScore], structure: str) -> Agreement | None:
    """Bland-Altman of the volume of a structure in ml, or of its area in pixels where there are no millimetres."""
    known = [(one, score) for one in volumes if (score := one.of(structure)) is not None]
    if not known:
        return None
    in_ml = all(score.truth_ml is not None for _, score in known)
    if in_ml:
        pairs = [(score.truth_ml or 0.0, score.predicted_ml or 0.0) for _, score in known]
    else:
        pairs = [(float(score.scores.truth), float(score.scores.predicted)) for _, score in known]
    return bland_altman(
        pairs, [one.volume for one, _ in known], "volume" if in_ml else "area", "ml" if in_ml else "pixels"
    )


def involvement_agreement(volumes: Sequence[VolumeScore]) -> Agreement | None:
    """Bland-Altman of the involvement in percent."""
    known = [(one.volume, one.involvement) for one in volumes if one.involvement is not None]
    if not known:
        return None
    pairs = [(score.truth_percent, score.predicted_percent) for _, score in known]
    return bland_altman(pairs, [name for name, _ in known], "involvement", "%")


def bland_altman(pairs: Sequence[tuple[float, float]], names: Sequence[str], quantity: str, unit: str) -> Agreement:
    """Bias and 95 % limits of agreement, bias +- 1.96 SD of the differences (Bland and Altman 1986).

    Args:
        pairs: truth and prediction per volume.
        names: names of the volumes.
        quantity: what is compared.
        unit: its unit.
    """
    truth, predicted = np.asarray(pairs, dtype=np.float64).T
    differences = predicted - truth
    bias = float(differences.mean())
    limits = None
    if len(pairs) > 1:
        reach = 1.96 * float(differences.std(ddof=1))
        limits = Interval(low=bias - reach, high=bias + reach)
    return Agreement.model_validate(
        {
            "quantity": quantity,
            "unit": unit,
            "volumes": len(pairs),
            "bias": bias,
            "limits": limits,
            "truth": truth.tolist(),
            "predicted": predicted.tolist(),
            "names": list(names),
        }
    )
