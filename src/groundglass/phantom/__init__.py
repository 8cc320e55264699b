"""Synthetic CT scans with exactly known truth, for the demo, the documentation and the tests."""

from groundglass.phantom.chest import HEALTHY, MODERATE, ChestOptions, Phantom, make_chest
from groundglass.phantom.compare import TruthComparison, compare_with_truth
from groundglass.phantom.lesions import Lesion, LesionRequest

__all__ = [
    "HEALTHY",
    "MODERATE",
    "ChestOptions",
    "Lesion",
    "LesionRequest",
    "Phantom",
    "TruthComparison",
    "compare_with_truth",
    "make_chest",
]
