"""Codes and colours by which other programs know what a label is."""

from __future__ import annotations

from dataclasses import dataclass

from groundglass.analysis import Analysis
from groundglass.report.palette import CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, RGB, RIGHT_LUNG


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: value, scheme (SCT = SNOMED CT, DCM = DICOM, LN = LOINC, UCUM) and meaning in words."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One label as other programs should know it.

    Attributes:
        number: of the segment, from 1.
        mask: `lungs` or `infection`.
        value: label value in that mask.
        label: what a viewer shows.
        category: kind of thing.
        kind: what it is.
        region: where it is; None where `kind` says it.
        laterality: side; None for both.
        colour: recommended for display.
    """

    number: int
    mask: str
    value: int
    label: str
    category: Code
    kind: Code
    region: Code | None
    laterality: Code | None
    colour: RGB


# Values and meanings are those of DICOM PS3.16 (the context group is named beside each), which a test compares with the
# copy in pydicom. Two are not in it: consolidation is SNOMED CT's 95436008 |Lung consolidation (disorder)|, which the
# standard leaves without a code, and UCUM's millilitre. What neither has carries a code of our own scheme.
SCHEME = "99GROUNDGLASS"

# CID 7150
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
# CID 4
LUNG = Code("39607008", "SCT", "Lung")
# CID 244
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")
BOTH_SIDES = Code("51440002", "SCT", "Bilateral")
# CID 6171
ZONES = {
    "upper": Code("281392002", "SCT", "Upper zone of lung"),
    "middle": Code("281393007", "SCT", "Middle zone of lung"),
    "lower": Code("281394001", "SCT", "Lower zone of lung"),
}
# CID 6104
OPACITY = Code("112001", "DCM", "Opacity")
GROUND_GLASS_OPACITY = Code("112120", "DCM", "Ground glass opacity")
LUNG_CONSOLIDATION = Code("95436008", "SCT", "Lung consolidation")
# CID 7472, 7469, 7464
VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
# CID 7181
MILLILITRE = Code("ml", "UCUM", "Milliliter")
PERCENT = Code("%", "UCUM", "Percent")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = Code("1", "UCUM", "no units")
# CID 7000, where it titles a report; the name is LOINC's, of the procedure
CT_CHEST = Code("24627-2", "LN", "CT Chest")

INVOLVEMENT = Code("involvement", SCHEME, "Infected share of the lung")
ZONAL_SCORE = Code("zonal-score", SCHEME, "Zonal severity score, 0 to 24")
ZONE_SCORE = Code("zone-score", SCHEME, "Severity score of the zone, 0 to 4")
INFECTED_VOLUME = Code("infected-volume", SCHEME, "Infected volume")

SEGMENTS = (
    Segment(1, "lungs", 1, "Right lung", ANATOMY, LUNG, None, RIGHT, RIGHT_LUNG),
    Segment(2, "lungs", 2, "Left lung", ANATOMY, LUNG, None, LEFT, LEFT_LUNG),
    Segment(
        3,
        "infection",
        1,
        "Ground-glass opacity",
        ABNORMAL,
        GROUND_GLASS_OPACITY,
        LUNG,
        None,
        GROUND_GLASS,
    ),
    Segment(
        4,
        "infection",
        2,
        "Consolidation",
        ABNORMAL,
        LUNG_CONSOLIDATION,
        LUNG,
        None,
        CONSOLIDATION,
    ),
)
"""The lungs hold the infection, so segments overlap."""

UNDIVIDED = Segment(3, "infection", 1, "Infection", ABNORMAL, OPACITY, LUNG, None, GROUND_GLASS)


def segments(analysis: Analysis) -> tuple[Segment, ...]:
    """The segments of an analysis: without ground-glass and consolidation where these were not told apart."""
    return SEGMENTS if analysis.measurements.subtype_method else (*SEGMENTS[:2], UNDIVIDED)
