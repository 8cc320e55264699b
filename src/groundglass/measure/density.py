"""Hounsfield units of the lungs: means, histogram and density bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import DensityBand, HUHistogram
from groundglass.measure.tally import BIN_COUNT, HISTOGRAM_HIGH, HISTOGRAM_LOW, HISTOGRAM_STEP, Tally

BANDS = (
    ("emphysema", -1050, -950),
    ("inflated", -950, -750),
    ("infiltrated", -750, -400),
    ("collapsed", -400, 0),
    ("vessels", 0, 3000),
)
"""Name, low and high edge in HU; the ranges that 3D Slicer's Lung CT Analyzer uses. Voxels below the first edge are
counted in the first band, voxels above the last edge in the last, so that the shares sum to 100 %."""


def histogram(tally: Tally) -> HUHistogram | None:
    """Voxels of the lungs per 25 HU from -1050 to 250; None for grey values."""
    if tally.histogram is None:
        return None
    edges = list(range(HISTOGRAM_LOW, HISTOGRAM_HIGH + 1, HISTOGRAM_STEP))
    return HUHistogram(edges=edges, counts=[int(count) for count in tally.histogram])


def density_bands(tally: Tally, voxel_ml: float) -> list[DensityBand] | None:
    """Share of the lungs in each of `BANDS`; None for grey values or without a lung."""
    if tally.histogram is None or not tally.histogram.any():
        return None
    total = int(tally.histogram.sum())
    return [_band(tally.histogram, total, voxel_ml, band) for band in BANDS]


def mean_hu(tally: Tally) -> tuple[float | None, float | None]:
    """Mean HU of the lungs (infection included) and of the infection; None where there is none or no HU."""
    if tally.hu_sum is None:
        return None, None
    lung, infected = int(tally.lungs.sum()), int(tally.infection.sum())
    of_lung = float(tally.hu_sum.sum()) / lung if lung else None
    of_infection = float(tally.hu_sum[1]) / infected if infected else None
    return of_lung, of_infection


def _band(counts: NDArray[np.int64], total: int, voxel_ml: float, band: tuple[str, int, int]) -> DensityBand:
    name, low, high = band
    first = (low - HISTOGRAM_LOW) // HISTOGRAM_STEP
    last = min((high - HISTOGRAM_LOW) // HISTOGRAM_STEP, BIN_COUNT)
    voxels = int(counts[first:last].sum())
    return DensityBand(name=name, low_hu=low, high_hu=high, percent=100.0 * voxels / total, ml=voxels * voxel_ml)
