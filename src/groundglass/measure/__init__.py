"""Volumes, involvement, density and zones from a scan and its label maps."""

from groundglass.measure.interval import with_interval
from groundglass.measure.measurements import SubtypeMethod, measure, measure_pictures

__all__ = ["SubtypeMethod", "measure", "measure_pictures", "with_interval"]
