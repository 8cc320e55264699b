"""Volumes, involvement, density and zones from a scan and its label maps."""
