"""Change between scans of one patient: numbers beside each other, and where infection came and went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from groundglass.analysis import Analysis, Measurements, Record
from groundglass.finding import Finding
from groundglass.geometry import Vector3
from groundglass.measure.registration import Registration, register
from groundglass.volume import LabelMap

CHANGE_NAMES: Mapping[int, str] = {1: "new", 2: "persistent", 3: "resolved"}
POOR_DICE = 0.90
SEAM_MM = 3.0


class Difference(Record):
    """One number at two times.

    `change` is the later minus the earlier value, in the number's own unit; `change_percent` is the change as a share
    of the earlier value. None where a value is not known, or the earlier one is zero.
    """

    name: str
    unit: str
    baseline: float | None
    followup: float | None
    change: float | None
    change_percent: float | None


class ChangeMap(Record):
    """Infection in the baseline's space, in millilitres."""

    new_ml: float
    persistent_ml: float
    resolved_ml: float
    right_lung_dice: float | None
    left_lung_dice: float | None


class FollowUp(Record):
    """One later scan compared with the baseline."""

    case: str
    differences: list[Difference]
    change_map: ChangeMap
    findings: list[Finding]


class Comparison(Record):
    """Scans of one patient, the baseline first."""

    schema_version: str = "1.0"
    baseline: str
    followups: list[FollowUp]


@dataclass(frozen=True, eq=False)
class TimePoint:
    """One scan.

    Attributes:
        analysis: its record.
        lungs: 1 = right, 2 = left.
        infection: 1 = ground-glass, 2 = consolidation.
    """

    analysis: Analysis
    lungs: LabelMap
    infection: LabelMap


def compare(baseline: TimePoint, followup: TimePoint) -> tuple[FollowUp, LabelMap]:
    """Compare a later scan with an earlier one of the same patient.

    Args:
        baseline: the earlier scan.
        followup: the later scan.

    Returns:
        The differences, and a label map on the baseline's grid: 1 = new, 2 = persistent, 3 = resolved infection.

    Raises:
        OptionError: SimpleITK is not installed.
        InputError: a scan without lungs.
    """
    laid = register(baseline.lungs, followup.lungs)
    change = change_labels(
        baseline.infection.labels > 0, laid.carried_mask(followup.infection), baseline.lungs.geometry.spacing
    )
    labels = LabelMap(change, baseline.lungs.geometry, CHANGE_NAMES, baseline.lungs.source)
    amounts = ChangeMap(
        new_ml=labels.volume_ml(1),
        persistent_ml=labels.volume_ml(2),
        resolved_ml=labels.volume_ml(3),
        right_lung_dice=laid.dice[0],
        left_lung_dice=laid.dice[1],
    )
    found = FollowUp(
        case=followup.analysis.case,
        differences=differences(baseline.analysis.measurements, followup.analysis.measurements),
        change_map=amounts,
        findings=[*_fit(laid), *_breath(baseline.analysis.measurements, followup.analysis.measurements)],
    )
    return found, labels


def change_labels(before: NDArray[np.bool_], after: NDArray[np.bool_], spacing: Vector3) -> NDArray[np.uint8]:
    """1 where infection is new, 2 where it persists, 3 where it resolved.

    A seam thinner than `SEAM_MM` (or than two voxels) is what an error of the registration looks like; where there is
    infection of both times it counts as persistent.

    Args:
        before: infection of the baseline, (x, y, z).
        after: infection of the follow-up on the same grid.
        spacing: millimetres along x, y, z.
    """
    both = before & after
    found = np.zeros(before.shape, dtype=np.uint8, order="F")
    found[both] = 2
    for value, only in ((1, after & ~before), (3, before & ~after)):
        thick = _without_seams(only, spacing) if both.any() else only
        found[only] = 2
        found[thick] = value
    return found


def _without_seams(only: NDArray[np.bool_], spacing: Vector3) -> NDArray[np.bool_]:
    """What is left after an opening with a ball of half of `SEAM_MM`, of one voxel at least."""
    places = np.nonzero(only)
    if not places[0].size:
        return only
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)
    part = np.pad(only[box], 1)
    # Distances run from voxel to voxel: a seam of one voxel has a distance of one step.
    reach = max(SEAM_MM / 2, 1.1 * min(spacing))
    core = distance_transform_edt(part, sampling=spacing) > reach
    kept = np.zeros_like(only)
    if core.any():
        # Twice the reach, so that the corners of a thick piece come back.
        near = distance_transform_edt(~core, sampling=spacing) <= 2 * reach
        kept[box] = (near & part)[1:-1, 1:-1, 1:-1]
    return kept


def differences(before: Measurements, after: Measurements) -> list[Difference]:
    """Every main number and every zone, before and after."""
    first, second = _numbers(before), _numbers(after)
    return [_difference(name, unit, first[name, unit], second.get((name, unit))) for name, unit in first]


def _numbers(numbers: Measurements) -> dict[tuple[str, str], float | None]:
    found: dict[tuple[str, str], float | None] = {}
    for side in ("total", "right", "left"):
        found[f"lung volume, {side}", "ml"] = getattr(numbers.lung_volume_ml, side)
        found[f"infected volume, {side}", "ml"] = getattr(numbers.infection_volume_ml, side)
        found[f"involvement, {side}", "%"] = getattr(numbers.involvement_percent, side)
    found["ground-glass", "ml"] = numbers.infection_volume_ml.ground_glass
    found["consolidation", "ml"] = numbers.infection_volume_ml.consolidation
    found["severity score", ""] = numbers.zonal_severity_score
    found["mean density of the lungs", "HU"] = numbers.mean_lung_hu
    found["mean density of the infection", "HU"] = numbers.mean_infection_hu
    for zone in numbers.zones:
        found[f"involvement, {zone.name} zone", "%"] = zone.percent
    return found


def _difference(name: str, unit: str, before: float | None, after: float | None) -> Difference:
    known = before is not None and after is not None
    change = after - before if before is not None and after is not None else None
    share = 100.0 * change / before if known and change is not None and before and unit == "ml" else None
    return Difference(name=name, unit=unit, baseline=before, followup=after, change=change, change_percent=share)


def _fit(laid: Registration) -> list[Finding]:
    sides = [(name, dice) for name, dice in zip(("right", "left"), laid.dice, strict=True)]
    poor = [f"{name} {dice:.2f}" for name, dice in sides if dice is not None and dice < POOR_DICE]
    missing = [name for name, dice in sides if dice is None]
    if not poor and not missing:
        return []
    text = (
        f"The lungs of the two scans do not lie well on each other (overlap, Dice: {', '.join(poor)})." if poor else ""
    )
    text += f" One scan lacks a lung ({', '.join(missing)})." if missing else ""
    return [
        Finding(
            code="registration-poor",
            severity="warning",
            text=text.strip(),
            action="Do not use the map of the change; the numbers of each scan stand by themselves.",
        )
    ]


def _breath(before: Measurements, after: Measurements) -> list[Finding]:
    first, second = before.lung_volume_ml.total, after.lung_volume_ml.total
    if not first or not second or abs(second / first - 1.0) < 0.2:
        return []
    return [
        Finding(
            code="breath-differs",
            severity="info",
            text=f"The lungs measure {first:,.0f} ml and {second:,.0f} ml: the depth of breath differs.",
            action="Compare millilitres of infection rather than percentages and densities.",
        )
    ]
