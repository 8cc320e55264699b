"""Input checks: what is wrong with a scan, in plain words, and what to do."""

from __future__ import annotations

from groundglass.check.contrast import check_contrast
from groundglass.check.coverage import check_body, check_grid
from groundglass.check.lungs import check_lungs
from groundglass.check.orientation import check_orientation
from groundglass.check.pictures import check_picture_lungs, check_pictures
from groundglass.check.sample import VolumeSample
from groundglass.check.units import check_units
from groundglass.finding import Finding
from groundglass.volume import CTVolume

__all__ = ["check_lungs", "check_picture_lungs", "check_pictures", "check_volume"]


def check_volume(volume: CTVolume) -> tuple[CTVolume, list[Finding]]:
    """Check a scan before anything is computed from it.

    Args:
        volume: the scan as it was read.

    Returns:
        The scan, repaired where an exact repair is possible (then a finding says so), and the findings that the
        reader did not already make. A windowed or
        normalised copy comes back in grey values with `units` set to `grey`.
    """
    checked, findings = check_units(volume, VolumeSample.of(volume).values)
    unusable = any(finding.severity == "error" for finding in findings)
    findings += check_grid(checked)
    if checked.units == "HU" and not unusable:
        sample = VolumeSample.of(checked)
        # Each check rests on the one before: without a chest there is no orientation, and without that no heart.
        findings += check_body(sample) or check_orientation(sample) or check_contrast(sample)
    known = {finding.code for finding in volume.findings}
    return checked, [finding for finding in findings if finding.code not in known]
