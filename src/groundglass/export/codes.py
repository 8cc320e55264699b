"""Codes and colours by which other programs know what a label is."""

from __future__ import annotations

from dataclasses import dataclass

from groundglass.analysis import Analysis
from groundglass.report.palette import CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, RGB, RIGHT_LUNG


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: value, scheme (SCT = SNOMED CT, DCM = DICOM, UCUM) and meaning in words."""

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


ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG = Code("39607008", "SCT", "Lung")
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")
OPACITY = Code("112001", "DCM", "Opacity")

SEGMENTS = (
    Segment(1, "lungs", 1, "Right lung", ANATOMY, LUNG, None, RIGHT, RIGHT_LUNG),
    Segment(2, "lungs", 2, "Left lung", ANATOMY, LUNG, None, LEFT, LEFT_LUNG),
    Segment(
        3,
        "infection",
        1,
        "Ground-glass opacity",
        ABNORMAL,
        Code("112120", "DCM", "Ground glass opacity"),
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
        Code("95436008", "SCT", "Lung consolidation"),
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
