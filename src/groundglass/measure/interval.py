"""How sure the involvement is: a range from the network's own probabilities, scaled on patients it had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Interval, Measurements
from groundglass.models.catalog import InvolvementBand

LEVELS = 256
Counts = NDArray[np.float64]
"""Lung by infection probability: 256 bins of 0..255 for 0..1."""


def lung_by_probability(probability: NDArray[np.uint8], lungs: NDArray[np.uint8]) -> Counts:
    """Count the lung by its infection probability, one axial slice at a time.

    Args:
        probability: (x, y, z) or (rows, columns), 0..255 for 0..1.
        lungs: labels of the same shape; any value but 0 is lung.
    """
    counts = np.zeros(LEVELS, np.float64)
    planes = ((probability, lungs),) if probability.ndim == 2 else zip(probability.T, lungs.T, strict=True)
    for plane, lung in planes:
        counts += np.bincount(plane[lung > 0], minlength=LEVELS)
    return counts


def share_from(counts: Counts, threshold: float) -> float:
    """Percent of the lung whose infection probability is at least `threshold` (0..1); 0 without a lung."""
    whole = float(counts.sum())
    level = max(1, math.ceil(threshold * (LEVELS - 1)))
    return 100.0 * float(counts[level:].sum()) / whole if whole else 0.0


def log_involvement(percent: float, offset_percent: float) -> float:
    """Logarithm of an involvement; the offset keeps the logarithm of almost none finite."""
    return math.log(percent + offset_percent)


def own_spread(
    counts: Counts, *, low_threshold: float, high_threshold: float, offset_percent: float, floor: float
) -> float:
    """How unsure the network itself is: half the distance of the logarithms of two involvements, at least `floor`.

    Args:
        counts: the lung by infection probability.
        low_threshold: probability at which the involvement is taken as high.
        high_threshold: probability at which it is taken as low.
        offset_percent: added before the logarithm.
        floor: least spread.
    """
    most, least = share_from(counts, low_threshold), share_from(counts, high_threshold)
    half = 0.5 * (log_involvement(most, offset_percent) - log_involvement(least, offset_percent))
    return max(half, floor)


def involvement_interval(percent: float, counts: Counts, band: InvolvementBand) -> Interval:
    """The range that should hold the true involvement of `band.coverage` of new scans.

    exp(log(percent + offset) +- factor * spread) - offset: normalised split-conformal prediction (Papadopoulos et al.
    2002; Lei et al. 2018), with the network's own spread as the scale and a factor from patients it had not seen.

    Args:
        percent: involvement that was measured.
        counts: the lung by infection probability, see `lung_by_probability`.
        band: constants of the model card.

    Returns:
        Percent, within 0..100.
    """
    spread = own_spread(
        counts,
        low_threshold=band.low_threshold,
        high_threshold=band.high_threshold,
        offset_percent=band.offset_percent,
        floor=band.floor,
    )
    middle, reach = log_involvement(percent, band.offset_percent), band.factor * spread
    low, high = (math.exp(middle + sign * reach) - band.offset_percent for sign in (-1.0, 1.0))
    return Interval(low=min(max(low, 0.0), percent), high=max(min(high, 100.0), percent), coverage=band.coverage)


def with_interval(
    measurements: Measurements,
    parts: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    band: InvolvementBand | None,
) -> Measurements:
    """The measurements with their interval; as they are where the model has no constants or there is no lung.

    Args:
        measurements: of one scan, or of pictures together.
        parts: infection probability and lungs of the scan, or of each picture; pictures count by the share of the
            picture that their lungs cover.
        band: constants of the model card.
    """
    percent = measurements.involvement_percent.total
    if band is None or percent is None:
        return measurements
    counts = np.zeros(LEVELS, np.float64)
    for probability, lungs in parts:
        counts += lung_by_probability(probability, lungs) / lungs.size
    return measurements.model_copy(update={"involvement_interval_percent": involvement_interval(percent, counts, band)})
