"""Does the patient lie as the file's orientation says? A wrong affine swaps the lungs and turns the zones over."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.check.sample import BONE_HU, TISSUE_HU, VolumeSample, footprint
from groundglass.finding import Finding

SPINE_MM = 15.0
SPINE_ASIDE_MM = 30.0
AROUND_MM = 45.0
LEAST_LUNG_ML = 800.0
BONE_RATIO = 1.6
SOLIDITY_STEP = 0.05
MIRROR_MM = 4.0
WHOLE_LUNG_MM = 120.0

ACTION = (
    "Correct the orientation in the file (or export it again from the original DICOM); until then right and left, "
    "and the zones, may be exchanged."
)


def check_orientation(sample: VolumeSample) -> list[Finding]:
    """Compare spine, shoulders, heart and liver with the orientation of the file.

    Says nothing where it cannot be judged: no lungs in the body, or bones missing.

    Args:
        sample: a scan in HU, (z, y, x) with x to the right, y to anterior and z to superior by its affine.
    """
    lungs = sample.lungs
    if np.count_nonzero(lungs) * sample.voxel_ml < LEAST_LUNG_ML or len(lungs) < 8:
        return []
    levels = np.flatnonzero(lungs.any(axis=(1, 2)))
    bone = sample.values > BONE_HU
    aside, forward = _spine(sample, lungs, bone, slice(int(levels[0]), int(levels[-1]) + 1))
    if abs(aside) > SPINE_ASIDE_MM and abs(aside) > abs(forward):
        return [
            _finding(
                code="rotated-in-plane",
                text="The spine lies at the side of the body: the slices are turned by 90 degrees.",
            )
        ]
    findings = []
    if forward > SPINE_MM:
        findings.append(
            _finding(code="flipped-front-back", text="The spine lies where the file says the front of the body is.")
        )
    if _upside_down(sample, lungs, bone):
        findings.append(
            _finding(
                code="flipped-head-feet", text="The lungs stand on their tips: head and feet seem to be exchanged."
            )
        )
    elif not findings and _mirror_score(sample, lungs) < -MIRROR_MM:
        findings.append(
            _finding(
                code="flipped-left-right",
                text="Heart and liver lie on the wrong side: the scan is mirrored, or the patient has situs inversus.",
            )
        )
    return findings


def _finding(*, code: str, text: str) -> Finding:
    return Finding(code=code, severity="warning", text=text, action=ACTION)


def _spine(
    sample: VolumeSample, lungs: NDArray[np.bool_], bone: NDArray[np.bool_], levels: slice
) -> tuple[float, float]:
    """How far the bones' centre lies to the right and in front of the lungs' centre, in millimetres."""
    # Around the lungs only: an arm beside the body must not pull the centre.
    rows, columns = footprint(lungs[levels])
    margin_y, margin_x = round(AROUND_MM / sample.spacing[1]), round(AROUND_MM / sample.spacing[0])
    area = (
        slice(max(rows.start - margin_y, 0), rows.stop + margin_y),
        slice(max(columns.start - margin_x, 0), columns.stop + margin_x),
    )
    bones = bone[levels, area[0], area[1]].sum(axis=0).astype(np.float64)
    if bones.sum() * sample.voxel_ml < 30.0:
        return 0.0, 0.0
    here = _centre(lungs[levels, area[0], area[1]].sum(axis=0).astype(np.float64))
    there = _centre(bones)
    return (there[1] - here[1]) * sample.spacing[0], (there[0] - here[0]) * sample.spacing[1]


def _centre(weights: NDArray[np.float64]) -> tuple[float, float]:
    total = weights.sum()
    row = float((weights.sum(axis=1) * np.arange(weights.shape[0])).sum() / total)
    column = float((weights.sum(axis=0) * np.arange(weights.shape[1])).sum() / total)
    return row, column


def _upside_down(sample: VolumeSample, lungs: NDArray[np.bool_], bone: NDArray[np.bool_]) -> bool:
    """Round tips and shoulder bones at the lower end, hollowed bases at the upper one."""
    area = lungs.sum(axis=(1, 2))
    levels = np.flatnonzero(area > 0.05 * area.max())
    bottom, top = int(levels[0]), int(levels[-1])
    height = top - bottom + 1
    if height * sample.spacing[2] < WHOLE_LUNG_MM or bottom < 2 or top > len(lungs) - 3:
        return False
    solidity = [_solidity(lungs[z]) for z in range(bottom, top + 1)]
    first, last = max(1, round(0.05 * height)), max(2, round(0.3 * height))
    low, high = float(np.mean(solidity[first:last])), float(np.mean(solidity[-last:-first]))
    around = max(1, round(0.1 * height))
    bones = bone.sum(axis=(1, 2))
    below = float(bones[max(bottom - around, 0) : bottom + around + 1].mean())
    above = float(bones[top - around : top + around + 1].mean())
    return low > high + SOLIDITY_STEP and below > BONE_RATIO * max(above, 1.0)


def _solidity(plane: NDArray[np.bool_]) -> float:
    """Area of the lungs in a slice over the area of their convex hulls."""
    contours, _ = cv2.findContours(plane.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = sum(float(cv2.contourArea(contour)) for contour in contours)
    hulls = sum(float(cv2.contourArea(cv2.convexHull(contour))) for contour in contours)
    return filled / hulls if hulls > 0 else 1.0


def _mirror_score(sample: VolumeSample, lungs: NDArray[np.bool_]) -> float:
    """How far the liver lies to the right of the heart, in millimetres.

    The liver: soft tissue between and below the lungs in their lowest fifth. The heart: the same at 35 to 65 % of
    their height.
    """
    levels = np.flatnonzero(lungs.any(axis=(1, 2)))
    bottom, height = int(levels[0]), int(levels[-1] - levels[0])
    if bottom == 0 or height * sample.spacing[2] < WHOLE_LUNG_MM:
        return 0.0
    base = _tissue_aside(sample, lungs, bottom, bottom + round(0.2 * height))
    heart = _tissue_aside(sample, lungs, bottom + round(0.35 * height), bottom + round(0.65 * height))
    return base - heart if base is not None and heart is not None else 0.0


def _tissue_aside(sample: VolumeSample, lungs: NDArray[np.bool_], bottom: int, top: int) -> float | None:
    """How far the soft tissue within the lungs' box lies to the right of the box's middle."""
    rows, columns = footprint(lungs)
    part = sample.values[bottom : top + 1, rows, columns]
    low, high = TISSUE_HU
    profile = ((part > low) & (part < high)).sum(axis=(0, 1)).astype(np.float64)
    if not profile.any():
        return None
    centre = float((profile * np.arange(profile.size)).sum() / profile.sum())
    return float((centre - (profile.size - 1) / 2.0) * sample.spacing[0])
