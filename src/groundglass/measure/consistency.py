"""Do the numbers agree with each other and with what a lung can be?"""

from __future__ import annotations

from groundglass.analysis import Measurements
from groundglass.finding import Finding

_TOLERANCE = 0.001
LIGHT_INFECTION_HU = -750.0
DENSE_SHARE = 15.0
DENSE_BANDS = ("collapsed", "vessels")


def check_measurements(measurements: Measurements) -> list[Finding]:
    """Findings on the numbers of a scan.

    Args:
        measurements: of a scan, with the range of its score where it is known.
    """
    findings = [*_sums(measurements), *_light(measurements), *_dense(measurements)]
    spread = measurements.zonal_severity_range
    if spread is not None and spread.low != spread.high:
        unsure = ", ".join(zone.name for zone in measurements.zones if zone.near_edge)
        findings.append(
            Finding(
                code="score-near-edge",
                severity="info",
                text=f"The severity score is {measurements.zonal_severity_score}; within the uncertainty of the "
                f"involvement it is {spread.low} to {spread.high} (zones near an edge: {unsure}).",
                action="Compare percentages rather than scores.",
            )
        )
    return findings


def _sums(numbers: Measurements) -> list[Finding]:
    """Parts that do not add up are a fault of the program or of masks that were changed by hand."""
    lung, infection = numbers.lung_volume_ml, numbers.infection_volume_ml
    pairs = [
        ("the lungs", (lung.right, lung.left), lung.total),
        ("the infection of both lungs", (infection.right, infection.left), infection.total),
        ("the kinds of infection", (infection.ground_glass, infection.consolidation), infection.total),
        ("the zones", tuple(zone.lung_ml for zone in numbers.zones), lung.total),
    ]
    wrong = []
    for name, parts, whole in pairs:
        known = [part for part in parts if part is not None]
        if whole is None or len(known) < len(parts) or not known:
            continue
        if abs(sum(known) - whole) > _TOLERANCE * max(whole, 1.0):
            wrong.append(f"{name} add up to {sum(known):.1f} ml instead of {whole:.1f} ml")
    if not wrong:
        return []
    return [
        Finding(
            code="numbers-disagree",
            severity="error",
            text=f"The parts do not add up: {'; '.join(wrong)}.",
            action="Analyze the scan again; if it stays so, report it as a fault of the program.",
        )
    ]


def _light(numbers: Measurements) -> list[Finding]:
    if numbers.mean_infection_hu is None or numbers.mean_infection_hu > LIGHT_INFECTION_HU:
        return []
    return [
        Finding(
            code="infection-light",
            severity="warning",
            text=f"What was taken for infection has a mean of {numbers.mean_infection_hu:.0f} HU, as light as healthy "
            "lung.",
            action="Look at the outlines of the infection; noise or motion may have been taken for ground-glass.",
        )
    ]


def _dense(numbers: Measurements) -> list[Finding]:
    """Much dense lung that is not called infected: effusion, collapse, or an infection that was missed."""
    bands = {band.name: band.percent for band in numbers.density_bands or ()}
    total = numbers.involvement_percent.total
    if total is None or not bands:
        return []
    dense = sum(bands.get(name, 0.0) for name in DENSE_BANDS)
    if dense - total < DENSE_SHARE:
        return []
    return [
        Finding(
            code="dense-lung-not-infected",
            severity="warning",
            text=f"{dense:.0f} % of the lung is denser than -400 HU, but {total:.0f} % was called infected.",
            action="Look for collapsed lung, fluid or an infection that was missed.",
        )
    ]
