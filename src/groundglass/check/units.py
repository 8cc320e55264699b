"""Are the values Hounsfield units? Repairs what can be repaired exactly, and says what cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.finding import Finding
from groundglass.volume import CTVolume

SHIFT = 1024.0
WRAP = 65536.0
MOST_NOISE_CORRELATION = 0.5

CONSTANT = Finding(
    code="constant-image",
    severity="error",
    text="Every voxel has (nearly) the same value: the scan is empty.",
    action="Export the scan again, or check that the file was copied completely.",
)
NOISE = Finding(
    code="noise-image",
    severity="error",
    text="Neighbouring voxels have nothing to do with one another: this is noise, not a picture of a body.",
    action="Check how the file was made; a raw file read with a wrong size or type looks like this.",
)
NORMALISED = Finding(
    code="values-normalised",
    severity="warning",
    text="The values run from 0 to 1 (or from -1 to 1): the scan was normalised and holds no Hounsfield units.",
    action="Use the original scan for densities; lungs and infection are found as in a grey picture.",
)
EIGHT_BIT = Finding(
    code="values-8-bit",
    severity="warning",
    text="The values run from 0 to 255: a windowed copy of a scan, without Hounsfield units.",
    action="Use the original scan for densities; lungs and infection are found as in a grey picture.",
)
WRAPPED = Finding(
    code="hu-wrapped",
    severity="warning",
    text="Negative values were stored as large positive ones (65,536 too high); 65,536 was taken off again.",
    action="Check the conversion to this file: it dropped the sign of the values.",
)
SHIFTED = Finding(
    code="hu-shifted",
    severity="warning",
    text="The values are 1,024 above Hounsfield units (air near 0, soft tissue near 1,060); 1,024 was taken off.",
    action="Check the conversion to this file: it left out the rescale intercept.",
)
NOT_HU = Finding(
    code="values-not-hu",
    severity="error",
    text="The values are no Hounsfield units: neither soft tissue near 40 nor air near -1,000 is there.",
    action="Use the original CT scan; a standardised or filtered copy cannot be measured.",
)
LUNGS_CLIPPED = Finding(
    code="hu-clipped-low",
    severity="error",
    text="The values were cut off above the density of lung (a soft-tissue window): the lungs are blank.",
    action="Use the original scan, or one stored with a lung window or no window.",
)
WINDOWED = Finding(
    code="hu-clipped-high",
    severity="warning",
    text="The values were cut off below 300 HU (a stored window): dense tissue is flattened.",
    action="Use the original scan where mean densities matter.",
)


def check_units(volume: CTVolume, sample: NDArray[np.float32]) -> tuple[CTVolume, list[Finding]]:
    """Judge the values and repair what can be repaired exactly.

    Args:
        volume: the scan.
        sample: some of its values (z, y, x), enough for a histogram.

    Returns:
        The scan in HU or in grey 0..255, and what was found.
    """
    low, high = float(sample.min()), float(sample.max())
    if not high - low > 1e-3:
        return volume, [CONSTANT]
    if _is_noise(volume):
        return volume, [NOISE]
    if volume.units == "grey":
        return volume, []
    if high <= 1.001 and low >= -1.001:
        offset, scale = (1.0, 127.5) if low < -0.05 else (0.0, 255.0)
        grey = np.clip((volume.values + np.float32(offset)) * np.float32(scale), 0.0, 255.0)
        return volume.with_values(grey, units="grey", findings=volume.findings), [NORMALISED]
    if low >= 0.0 and high <= 255.0:
        return volume.with_values(volume.values, units="grey", findings=volume.findings), [EIGHT_BIT]
    return _check_hu(volume, sample)


def _check_hu(volume: CTVolume, sample: NDArray[np.float32]) -> tuple[CTVolume, list[Finding]]:
    findings = []
    if _share(sample, WRAP - 4096.0, WRAP) > 0.005:
        volume = _changed(volume, np.where(volume.values >= WRAP / 2, volume.values - np.float32(WRAP), volume.values))
        sample = np.where(sample >= WRAP / 2, sample - np.float32(WRAP), sample)
        findings.append(WRAPPED)
    if _is_shifted(sample):
        volume = _changed(volume, volume.values - np.float32(SHIFT))
        sample = sample - np.float32(SHIFT)
        findings.append(SHIFTED)
    return volume, findings + _clipping(sample)


def _changed(volume: CTVolume, values: NDArray[np.float32]) -> CTVolume:
    return volume.with_values(np.asarray(values, dtype=np.float32, order="A"), units="HU", findings=volume.findings)


def _share(sample: NDArray[np.float32], low: float, high: float) -> float:
    """Share of the values in low <= v < high."""
    return float(np.count_nonzero((sample >= low) & (sample < high)) / sample.size)


def _is_shifted(sample: NDArray[np.float32]) -> bool:
    """Soft tissue where bone should be, and hardly anything below fat."""
    tissue, shifted = _share(sample, -150.0, 200.0), _share(sample, SHIFT - 150.0, SHIFT + 200.0)
    air, shifted_air = _share(sample, -1200.0, -400.0), _share(sample, SHIFT - 1200.0, SHIFT - 400.0)
    return shifted > 0.05 and shifted_air > 0.02 and air < 0.01 and shifted > 0.2 * tissue


def _clipping(sample: NDArray[np.float32]) -> list[Finding]:
    low, high = float(sample.min()), float(sample.max())
    at_low = _share(sample, low, low + 1.0)
    if high - low < 200.0 or _share(sample, -1200.0, 200.0) < 0.2:
        return [NOT_HU]
    if low > -700.0 and at_low > 0.02:
        return [LUNGS_CLIPPED]
    if high < 300.0 and _share(sample, high - 1.0, high + 1.0) > 0.003:
        return [WINDOWED]
    return []


def _is_noise(volume: CTVolume) -> bool:
    """Whether next neighbours in the middle slices are hardly correlated."""
    x, y, z = volume.geometry.shape
    if min(x, y) < 16:
        return False
    columns, rows = slice(x // 8, x - x // 8), slice(y // 8, y - y // 8)
    for index in {z // 4, z // 2, (3 * z) // 4}:
        plane = np.asarray(volume.values[columns, rows, index], dtype=np.float64)
        if plane.std() < 1e-9:
            return False
        if np.corrcoef(plane[1:].ravel(), plane[:-1].ravel())[0, 1] > MOST_NOISE_CORRELATION:
            return False
    return True
