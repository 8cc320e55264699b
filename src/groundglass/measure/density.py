"""Hounsfield units of the lungs: means, histogram and density bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import DensityBand, HUHistogram, Involvement, LungDensity
from groundglass.measure.burden import involvement
from groundglass.measure.tally import BIN_COUNT, FINE_LOW, HISTOGRAM_HIGH, HISTOGRAM_LOW, HISTOGRAM_STEP, Tally

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


PERCENTILES = (5, 10, 15, 25, 50, 75, 90, 95)
LOW_ATTENUATION_HU = -950
HIGH_ATTENUATION_HU = (-600, -250)


def lung_density(tally: Tally) -> list[LungDensity] | None:
    """Mean, spread, percentiles and attenuation areas of both lungs and of each; None for grey values or no lung."""
    if tally.fine is None or tally.moments is None or not tally.fine.any():
        return None
    regions = (("both lungs", slice(0, 2)), ("right lung", slice(0, 1)), ("left lung", slice(1, 2)))
    return [
        _density(name, tally.fine[side].sum(axis=0), tally.moments[side].sum(axis=0))
        for name, side in regions
        if tally.fine[side].any()
    ]


def high_opacity(tally: Tally) -> Involvement | None:
    """Infected lung of -200 HU and more as a share of the lung, percent; None for grey values."""
    if tally.high_opacity is None:
        return None
    return involvement(tally.lungs, tally.high_opacity.astype(np.float64))


def _density(name: str, counts: NDArray[np.int64], moments: NDArray[np.float64]) -> LungDensity:
    voxels = int(counts.sum())
    mean = float(moments[0]) / voxels
    variance = max(float(moments[1]) / voxels - mean * mean, 0.0)
    low, (haa_low, haa_high) = LOW_ATTENUATION_HU - FINE_LOW, HIGH_ATTENUATION_HU
    return LungDensity(
        name=name,
        mean_hu=mean,
        sd_hu=variance**0.5,
        percentiles_hu={f"p{share}": _percentile(counts, share) for share in PERCENTILES},
        laa_950_percent=100.0 * int(counts[:low].sum()) / voxels,
        haa_percent=100.0 * int(counts[haa_low - FINE_LOW : haa_high - FINE_LOW + 1].sum()) / voxels,
    )


def _percentile(counts: NDArray[np.int64], share: float) -> float:
    """The lowest whole HU that at least `share` percent of the voxels do not exceed."""
    reached = np.cumsum(counts) * 100 >= share * counts.sum()
    return float(FINE_LOW + int(reached.argmax()))


def _band(counts: NDArray[np.int64], total: int, voxel_ml: float, band: tuple[str, int, int]) -> DensityBand:
    name, low, high = band
    first = (low - HISTOGRAM_LOW) // HISTOGRAM_STEP
    last = min((high - HISTOGRAM_LOW) // HISTOGRAM_STEP, BIN_COUNT)
    voxels = int(counts[first:last].sum())
    return DensityBand(name=name, low_hu=low, high_hu=high, percent=100.0 * voxels / total, ml=voxels * voxel_ml)
