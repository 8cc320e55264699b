"""Volumes, involvement, density and zones from a scan and its label maps."""

from groundglass.measure.measurements import SubtypeMethod, measure, measure_pictures

__all__ = ["SubtypeMethod", "measure", "measure_pictures"]
