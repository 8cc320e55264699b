"""Codes mean what the standard says that they mean."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.sr.codedict import codes as dictionary

from groundglass.export import codes
from groundglass.export.codes import SCHEME, SEGMENTS, UNDIVIDED, Code

NOT_IN_PS3_16 = {codes.LUNG_CONSOLIDATION, codes.MILLILITRE}


def all_codes() -> Iterator[Code]:
    for item in vars(codes).values():
        if isinstance(item, Code):
            yield item
    yield from codes.ZONES.values()
    for segment in (*SEGMENTS, UNDIVIDED):
        yield from (code for code in (segment.category, segment.kind, segment.region, segment.laterality) if code)


def meanings(code: Code) -> set[str]:
    """What pydicom's copy of the standard calls a value, over all keywords."""
    scheme = getattr(dictionary, code.scheme)
    found = (getattr(scheme, keyword) for keyword in scheme.dir())
    return {one.meaning for one in found if one.value == code.value}


@pytest.mark.parametrize("code", sorted(set(all_codes()), key=str), ids=lambda code: f"{code.scheme}-{code.value}")
def test_a_code_is_that_of_the_standard_or_our_own(code: Code) -> None:
    if code.scheme == SCHEME:
        return
    assert code.scheme in ("SCT", "DCM", "UCUM", "LN")
    if code in NOT_IN_PS3_16:
        assert not meanings(code), "the standard has it now"
    elif code == codes.CT_CHEST:
        assert meanings(code) == {"CT Chest Report"}
    else:
        assert code.meaning in meanings(code)


@pytest.mark.parametrize(
    ("code", "group"),
    [
        (codes.ANATOMY, "cid7150"),
        (codes.ABNORMAL, "cid7150"),
        (codes.LUNG, "cid4"),
        (codes.RIGHT, "cid244"),
        (codes.LEFT, "cid244"),
        (codes.BOTH_SIDES, "cid244"),
        (codes.ZONES["upper"], "cid6171"),
        (codes.ZONES["middle"], "cid6171"),
        (codes.ZONES["lower"], "cid6171"),
        (codes.OPACITY, "cid6104"),
        (codes.GROUND_GLASS_OPACITY, "cid6104"),
        (codes.VOLUME, "cid7472"),
        (codes.ATTENUATION, "cid7469"),
        (codes.MEAN, "cid7464"),
        (codes.PERCENT, "cid7181"),
        (codes.HOUNSFIELD, "cid7181"),
        (codes.NO_UNITS, "cid7181"),
        (codes.CT_CHEST, "cid7000"),
    ],
)
def test_a_code_stands_in_its_context_group(code: Code, group: str) -> None:
    members = getattr(dictionary, group)
    assert code.value in {getattr(members, keyword).value for keyword in members.dir()}


def test_our_own_codes_are_short_enough_for_dicom() -> None:
    own = [code for code in set(all_codes()) if code.scheme == SCHEME]
    assert len(own) == 4
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in own)
