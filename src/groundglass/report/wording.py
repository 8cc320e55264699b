"""Numbers as a reader wants them: with their unit, sensible digits, and a reason where they are not known."""

from __future__ import annotations

from datetime import datetime

from groundglass.analysis import Analysis, Interval

UNKNOWN = "not known"


def percent(value: float | None) -> str:
    """`12.3 %`; small amounts are not rounded to nothing."""
    if value is None:
        return UNKNOWN
    if 0.0 < value < 0.05:
        return "< 0.1 %"
    return f"{value:.1f} %"


def spread(interval: Interval) -> str:
    """`80 % range 3.4 % to 8.1 %`."""
    share = "uncertainty" if interval.coverage is None else f"{100 * interval.coverage:.0f} %"
    return f"{share} range {percent(interval.low)} to {percent(interval.high)}"


def millilitres(value: float | None) -> str:
    """`4,103 ml`, `12.4 ml`."""
    if value is None:
        return UNKNOWN
    if 0.0 < value < 0.05:
        return "< 0.1 ml"
    return f"{value:.1f} ml" if 0.0 < value < 99.95 else f"{value:,.0f} ml"


def hounsfield(value: float | None) -> str:
    """`−812 HU`."""
    return UNKNOWN if value is None else f"{value:.0f} HU".replace("-", "−")


def minus(value: float) -> str:
    """A number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def fact_name(key: str) -> str:
    """A technical key such as `slice_thickness_mm` in words: `Slice thickness (mm)`."""
    known = {"kvp": "Tube voltage (kV)", "model": "Scanner"}
    if key in known:
        return known[key]
    words = key.removesuffix("_mm").replace("_", " ").capitalize()
    return f"{words} (mm)" if key.endswith("_mm") else words


def moment(started: str) -> str:
    """The start of a run as `21 November 2026, 11:06 UTC`; unchanged if it is no ISO date."""
    try:
        parsed = datetime.fromisoformat(started)
    except ValueError:
        return started
    zone = f" {parsed.tzname()}" if parsed.tzinfo else ""
    return f"{parsed.day} {parsed:%B %Y, %H:%M}{zone}"


def no_lungs(analysis: Analysis) -> bool:
    """Whether the analysis ended without lungs."""
    return any(finding.code == "no-lungs" for finding in analysis.findings)


def is_picture(analysis: Analysis) -> bool:
    """Whether the input was one picture or a set of pictures rather than a scan."""
    return analysis.slices is not None


def why_unknown(analysis: Analysis, unit: str) -> str:
    """The reason why a number in `%`, `ml`, `HU` or `score` is None, as a short clause."""
    if no_lungs(analysis):
        return "no lungs were found"
    if is_picture(analysis):
        reasons = {"ml": "a picture has no millimetres", "HU": "a picture has no Hounsfield units"}
        return reasons.get(
            unit, "a single picture does not show the whole lung" if unit == "score" else "no lung in it"
        )
    if unit == "HU" and analysis.source.units == "grey":
        return "the scan holds grey values, no Hounsfield units"
    if unit == "ml" and analysis.source.spacing_mm is None:
        return "the spacing of the voxels is missing"
    return "there is no such lung or infection in the scan"


def size(analysis: Analysis) -> str:
    """Shape and spacing of the input in one line."""
    shape = " × ".join(str(length) for length in analysis.source.shape)
    if analysis.source.spacing_mm is None:
        return f"{shape} pixels"
    spacing = " × ".join(f"{step:.3g}" for step in analysis.source.spacing_mm)
    return f"{shape} voxels of {spacing} mm"
