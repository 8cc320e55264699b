"""Was contrast agent given? Enhanced vessels and consolidation look more alike."""

from __future__ import annotations

import numpy as np

from groundglass.check.sample import VolumeSample, footprint
from groundglass.finding import Finding

ENHANCED_HU = 110.0
LEAST_BLOOD_ML = 30.0
WHOLE_LUNG_MM = 120.0

CONTRAST = Finding(
    code="contrast-agent",
    severity="info",
    text="Heart and large vessels are brighter than unenhanced blood: contrast agent was given.",
    action="Densities of consolidation may be raised; compare follow-ups with scans of the same kind.",
)


def check_contrast(sample: VolumeSample) -> list[Finding]:
    """Look for bright blood between the lungs, in the middle of their height."""
    levels = np.flatnonzero(sample.lungs.any(axis=(1, 2)))
    if len(levels) < 8:
        return []
    bottom, height = int(levels[0]), int(levels[-1] - levels[0])
    if height * sample.spacing[2] < WHOLE_LUNG_MM:
        return []
    middle = slice(bottom + round(0.35 * height), bottom + round(0.75 * height) + 1)
    rows, columns = footprint(sample.lungs[middle])
    depth, width = rows.stop - rows.start, columns.stop - columns.start
    # In front of the spine, between the lungs: heart, aorta and pulmonary trunk, no bone but the sternum.
    front = slice(rows.start + round(0.35 * depth), rows.start + round(0.85 * depth))
    centre = slice(columns.start + round(0.35 * width), columns.start + round(0.7 * width))
    part = sample.values[middle, front, centre]
    blood = part[(part > -20.0) & (part < 700.0)]
    if blood.size * sample.voxel_ml < LEAST_BLOOD_ML:
        return []
    return [CONTRAST] if float(np.percentile(blood, 75)) > ENHANCED_HU else []
