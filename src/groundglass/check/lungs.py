"""Are the lungs that were found plausible?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.finding import Finding
from groundglass.volume import CTVolume, LabelMap

NAMES = {1: "right", 2: "left"}
SMALL_ML, LARGE_ML = 1000.0, 9000.0
WHOLE_CHEST_MM = 150.0
UNEQUAL = 3.0
MISSING_SHARE = 0.02
CUT_MM2 = 1000.0
SIDE_MM2 = 1500.0


def check_lungs(volume: CTVolume, lungs: LabelMap) -> list[Finding]:
    """Findings on the lungs of a scan.

    Args:
        volume: the scan.
        lungs: 1 = right, 2 = left, on its grid.
    """
    counts = np.array([np.count_nonzero(lungs.labels == label) for label in NAMES])
    if not counts.any():
        return [
            Finding(
                code="no-lungs",
                severity="error",
                text="No lungs were found: this is not a chest CT, or its values are not usable.",
                action="Run `groundglass doctor` on the input and check that it is a chest CT in Hounsfield units.",
            )
        ]
    millilitres = counts * volume.geometry.voxel_ml
    height = volume.geometry.shape[2] * volume.geometry.spacing[2]
    findings = _cut_off(lungs)
    if height >= WHOLE_CHEST_MM and not findings:
        findings += _volume(float(millilitres.sum()))
    return findings + _sides(float(millilitres[0]), float(millilitres[1]))


def _volume(total: float) -> list[Finding]:
    if SMALL_ML <= total <= LARGE_ML:
        return []
    small = total < SMALL_ML
    return [
        Finding(
            code="lung-volume-small" if small else "lung-volume-large",
            severity="warning",
            text=f"The lungs measure {total / 1000.0:.1f} l; adults have 2 to 8 l when they hold their breath in.",
            action="Look at the lung outlines, and check the voxel size"
            + (
                " and whether lung is missing from the mask (a child, or collapsed lungs, are small)." if small else "."
            ),
        )
    ]


def _sides(right: float, left: float) -> list[Finding]:
    smaller, larger = min(right, left), max(right, left)
    name = "right" if right > left else "left"
    if smaller < MISSING_SHARE * larger:
        return [
            Finding(
                code="one-lung",
                severity="warning",
                text=f"Only the {name} lung was found.",
                action="Expected after removal of a lung or with a complete white-out; otherwise look at the outlines.",
            )
        ]
    if larger > UNEQUAL * smaller:
        return [
            Finding(
                code="lungs-unequal",
                severity="warning",
                text=f"The {name} lung measures {larger:.0f} ml, the other {smaller:.0f} ml.",
                action="Look at the outlines: a collapsed or consolidated lung may be missing in part.",
            )
        ]
    return []


def _cut_off(lungs: LabelMap) -> list[Finding]:
    """Lung in the outermost slices, or along the edges of the field of view."""
    labels = lungs.labels
    dx, dy, dz = lungs.geometry.spacing
    findings = []
    if labels.shape[2] > 1:
        above, below = (_cut_names(labels[:, :, z], dx * dy, CUT_MM2) for z in (-1, 0))
        if above:
            findings.append(_cut_finding(code="lungs-cut-top", where="at the top of the scan", names=above))
        if below:
            findings.append(_cut_finding(code="lungs-cut-bottom", where="at the bottom of the scan", names=below))
    edges = [(labels[0], dy * dz), (labels[-1], dy * dz), (labels[:, 0], dx * dz), (labels[:, -1], dx * dz)]
    least = min(SIDE_MM2, 60.0 * dz * labels.shape[2])
    names = sorted({name for face, pixel_mm2 in edges for name in _cut_names(face, pixel_mm2, least)}, reverse=True)
    if names:
        findings.append(_cut_finding(code="lungs-cut-side", where="at the side of the field of view", names=names))
    return findings


def _cut_names(face: NDArray[np.uint8], pixel_mm2: float, least_mm2: float) -> list[str]:
    """Lungs that cover at least `least_mm2` of a face of the volume."""
    return [name for label, name in NAMES.items() if np.count_nonzero(face == label) * pixel_mm2 >= least_mm2]


def _cut_finding(*, code: str, where: str, names: list[str]) -> Finding:
    which = "Both lungs are" if len(names) == 2 else f"The {names[0]} lung is"
    return Finding(
        code=code,
        severity="warning",
        text=f"{which} cut off {where}.",
        action="Volumes and zones are those of the scanned part; use a scan of the whole chest if there is one.",
    )
