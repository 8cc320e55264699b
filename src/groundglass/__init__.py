"""Groundglass: lungs, infection and involvement from a chest CT, offline, in seconds, on a CPU."""

__version__ = "0.1.0"
