"""Scores are steps: which of them would change within the uncertainty of the involvement."""

from __future__ import annotations

from groundglass.analysis import Measurements, ScoreRange, Zone
from groundglass.measure.zones import zone_score


def with_score_range(measurements: Measurements) -> Measurements:
    """Mark the zones whose score is not certain, and give the range of the sum.

    The interval of the total involvement is carried over to each zone in proportion: a zone at p percent may be at
    p * low / total to p * high / total. A zone without infection stays at 0: the interval says nothing about it.

    Args:
        measurements: with `involvement_interval_percent` where it is known.

    Returns:
        The same with `zones[].near_edge` and `zonal_severity_range`; unchanged where no interval is known.
    """
    interval, total = measurements.involvement_interval_percent, measurements.involvement_percent.total
    if interval is None or not total or measurements.zonal_severity_score is None:
        return measurements
    factors = (min(interval.low / total, 1.0), max(interval.high / total, 1.0))
    zones, low, high = [], 0, 0
    for zone in measurements.zones:
        least, most = (_score(zone, factor) for factor in factors)
        zones.append(zone.model_copy(update={"near_edge": least != most}))
        low, high = low + least, high + most
    return measurements.model_copy(update={"zones": zones, "zonal_severity_range": ScoreRange(low=low, high=high)})


def _score(zone: Zone, factor: float) -> int:
    share = None if zone.percent is None else min(100.0, zone.percent * factor)
    return zone_score(share, bool(zone.infection_ml)) or 0
