"""The labelled slices that networks learn from, by the layout they lie in on disk."""

from groundglass.training.sample import CHANNELS, CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sources.research import covid20, display_slices, lung2d, medseg, negatives, normal_volume

__all__ = [
    "CHANNELS", "CONSOLIDATION", "INFECTION", "LUNG", "Sample",
    "covid20", "display_slices", "lung2d", "medseg", "negatives", "normal_volume",
]  # fmt: skip
