"""Volumes, involvement, density, zones, lobes and lesions from a scan and its label maps."""

from groundglass.measure.consistency import check_measurements
from groundglass.measure.interval import with_interval
from groundglass.measure.measurements import SubtypeMethod, measure, measure_pictures
from groundglass.measure.stability import with_score_range

__all__ = [
    "SubtypeMethod",
    "check_measurements",
    "measure",
    "measure_pictures",
    "with_interval",
    "with_score_range",
]
