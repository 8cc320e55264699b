"""Pictures of the bodies: every part where it belongs, from every side."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.report.palette import LEFT_LUNG, RIGHT_LUNG
from groundglass.report.solid import solid_views
from tests.report.conftest import Case, make_case


def centre(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Mean (row, column) of pixels of about this hue, as a share of the picture."""
    unit = np.array(colour) / np.linalg.norm(colour)
    bright = np.linalg.norm(pixels.astype(float), axis=2)
    alike = (pixels @ unit) / np.maximum(bright, 1e-6)
    found = np.argwhere((bright > 60) & (alike > 0.985))
    assert len(found) > 25
    return np.asarray(found.mean(axis=0) / pixels.shape[:2])


def warm(pixels: np.ndarray) -> np.ndarray:
    """Mean (row, column) of what is more red than blue, as only the infection is."""
    found = np.argwhere(pixels[:, :, 0].astype(int) - pixels[:, :, 2] > 12)
    assert len(found) > 50
    return np.asarray(found.mean(axis=0) / pixels.shape[:2])


def test_sides_and_lesion_are_where_they_belong(case: Case) -> None:
    front, left, oblique = solid_views(case.lungs, case.infection)
    assert [view.title for view in (front, left, oblique)] == [
        "From the front",
        "From the patient's left",
        "From the right front",
    ]
    assert centre(front.pixels, RIGHT_LUNG)[1] < 0.5 < centre(front.pixels, LEFT_LUNG)[1]
    lesion = warm(front.pixels)
    assert lesion[1] < 0.45, "the lesion is in the right lung"
    assert lesion[0] > 0.5, "below the middle"
    assert warm(left.pixels)[1] > 0.6, "posterior is at the right, seen from the left"
    assert front.pixels.shape[0] == left.pixels.shape[0] == oblique.pixels.shape[0]


def test_an_infection_is_seen_and_its_absence_too() -> None:
    healthy = make_case(infected=False)
    yellow = [
        (view.pixels[:, :, 0].astype(int) - view.pixels[:, :, 2] > 60).sum()
        for view in solid_views(healthy.lungs, healthy.infection)
    ]
    assert yellow == [0, 0, 0]


def test_nothing_without_lungs() -> None:
    empty = make_case(lungs=False)
    assert solid_views(empty.lungs, empty.infection) == []


def test_the_turned_view_shows_the_same_height(case: Case) -> None:
    heights = [np.flatnonzero(view.pixels.any(axis=(1, 2))) for view in solid_views(case.lungs, case.infection)]
    spans = [int(rows[-1] - rows[0]) for rows in heights]
    assert spans == pytest.approx([spans[0]] * 3, abs=4)
