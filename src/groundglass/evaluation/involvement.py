"""Fits the interval of the involvement on out-of-fold predictions, and measures its coverage.

Split-conformal prediction over patients: each patient's score is the largest error of his volumes in units of the
network's own spread; the factor is the ceil((n + 1) * coverage)-th smallest score of n patients (Vovk et al. 2005). A
new patient, exchangeable with these, is covered with at least that probability; with fewer than 9 patients no factor
promises 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from groundglass.errors import OptionError
from groundglass.evaluation.records import InvolvementScore, VolumeScore
from groundglass.measure.interval import involvement_interval, log_involvement, own_spread
from groundglass.models.catalog import InvolvementBand

COVERAGE = 0.9


@dataclass(frozen=True)
class BandShape:
    """What is chosen before any truth is looked at; only the factor is fitted.

    Attributes:
        low_threshold: infection probability at which the involvement is taken as high.
        high_threshold: infection probability at which it is taken as low.
        offset_percent: added before the logarithm; involvements far below it count as almost none.
        floor: least spread of the logarithm.
    """

    low_threshold: float = 0.1
    high_threshold: float = 0.9
    offset_percent: float = 0.5
    floor: float = 0.1


def fit_band(
    volumes: Sequence[VolumeScore],
    *,
    protocol: str,
    coverage: float = COVERAGE,
    shape: BandShape | None = None,
) -> InvolvementBand:
    """Fit the interval on volumes that their networks had not seen.

    Args:
        volumes: out-of-fold scores, with probabilities.
        protocol: data and networks, for the card.
        coverage: share of new patients that the interval is meant for.
        shape: constants that are not fitted.

    Raises:
        OptionError: too few patients for that coverage.
    """
    form = shape or BandShape()
    scores = patient_scores(volumes, form)
    factor = conformal_factor(list(scores.values()), coverage)
    if factor is None:
        raise OptionError(
            f"{len(scores)} patients cannot promise a coverage of {coverage:.0%}; "
            f"expected at least {fewest_patients(coverage)}"
        )
    band = InvolvementBand(
        coverage=coverage,
        low_threshold=form.low_threshold,
        high_threshold=form.high_threshold,
        offset_percent=form.offset_percent,
        floor=form.floor,
        factor=factor,
        patients=len(scores),
        measured_coverage=0.0,
        protocol=protocol,
    )
    return replace(band, measured_coverage=left_out_coverage(volumes, band))


def at_threshold(volumes: Sequence[VolumeScore], threshold: float) -> list[VolumeScore]:
    """The volumes with the involvement that another infection threshold gives; without those of no probabilities.

    Args:
        volumes: scores with probabilities.
        threshold: probability from which a voxel of the lungs is infected, 0..1.
    """
    changed = []
    for volume in volumes:
        known = volume.involvement
        if known is None or known.by_probability is None:
            continue
        counts = np.asarray(known.by_probability, np.float64)
        percent = 100.0 * counts[math.ceil(threshold * (len(counts) - 1)) :].sum() / max(counts.sum(), 1.0)
        moved = known.model_copy(update={"predicted_percent": float(percent)})
        changed.append(volume.model_copy(update={"involvement": moved}))
    return changed


def fewest_patients(coverage: float) -> int:
    """The smallest number of patients on which a coverage can rest."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def conformal_factor(scores: Sequence[float], coverage: float) -> float | None:
    """The ceil((n + 1) * coverage)-th smallest score; None where n is too small."""
    place = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[place - 1]) if 0 < place <= len(scores) else None


def patient_scores(volumes: Sequence[VolumeScore], shape: BandShape) -> dict[str, float]:
    """Per patient the largest error of the logarithm in units of the network's own spread."""
    scores: dict[str, float] = {}
    for volume in volumes:
        known = volume.involvement
        if known is not None and known.by_probability is not None:
            scores[volume.patient] = max(scores.get(volume.patient, 0.0), _score(known, shape))
    return scores


def left_out_coverage(volumes: Sequence[VolumeScore], band: InvolvementBand) -> float:
    """Share of the volumes whose truth lies in an interval that was fitted without their patient.

    With one patient fewer the coverage may be out of reach; then the largest score of the others is taken, which
    promises (n - 1) / n.
    """
    shape = BandShape(band.low_threshold, band.high_threshold, band.offset_percent, band.floor)
    scores = patient_scores(volumes, shape)
    held = []
    for volume in volumes:
        known = volume.involvement
        if known is None or known.by_probability is None:
            continue
        others = [score for patient, score in scores.items() if patient != volume.patient]
        factor = conformal_factor(others, band.coverage)
        held.append(covers(known, replace(band, factor=max(others) if factor is None else factor)))
    return float(np.mean(held)) if held else 0.0


def covers(known: InvolvementScore, band: InvolvementBand) -> bool:
    """Whether the interval of one volume holds its true involvement."""
    found = involvement_interval(known.predicted_percent, np.asarray(known.by_probability, np.float64), band)
    return found.low - 1e-9 <= known.truth_percent <= found.high + 1e-9


def widths(volumes: Sequence[VolumeScore], band: InvolvementBand) -> Mapping[str, tuple[float, float]]:
    """Low and high end of the interval of every volume, percent."""
    found = {}
    for volume in volumes:
        known = volume.involvement
        if known is not None and known.by_probability is not None:
            counts = np.asarray(known.by_probability, np.float64)
            interval = involvement_interval(known.predicted_percent, counts, band)
            found[volume.volume] = (interval.low, interval.high)
    return found


def _score(known: InvolvementScore, shape: BandShape) -> float:
    spread = own_spread(
        np.asarray(known.by_probability, np.float64),
        low_threshold=shape.low_threshold,
        high_threshold=shape.high_threshold,
        offset_percent=shape.offset_percent,
        floor=shape.floor,
    )
    truth, found = (
        log_involvement(value, shape.offset_percent) for value in (known.truth_percent, known.predicted_percent)
    )
    return abs(truth - found) / spread
