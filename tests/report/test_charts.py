from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.analysis import DensityBand
from groundglass.report.charts import density_chart, nice_ticks, profile_chart, profile_sentence, zone_diagram
from groundglass.report.views import profile
from tests.report.conftest import SPACING, Case, make_case, make_measurements


@given(st.floats(0, 1e7))
def test_ticks_start_at_zero_reach_the_highest_and_are_few(highest: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0.0
    assert ticks[-1] >= highest * 0.999
    assert 2 <= len(ticks) <= 7
    assert np.allclose(np.diff(ticks), ticks[1])


def test_histogram_is_well_formed_and_shows_every_bin() -> None:
    numbers = make_measurements()
    assert numbers.hu_histogram is not None
    chart = density_chart(numbers.hu_histogram, numbers.density_bands or [], numbers.mean_lung_hu)
    ElementTree.fromstring(chart)
    assert "mean −790 HU" in chart
    assert "% of the lung per 25 HU" in chart
    curve = re.search(r'class="curve" d="([^"]*)"', chart)
    assert curve is not None
    assert curve.group(1).count("L") == 2 * 52 + 1


def test_names_of_bands_are_escaped() -> None:
    numbers = make_measurements()
    assert numbers.hu_histogram is not None
    band = DensityBand(name='<script>"', low_hu=-2000, high_hu=-900, percent=1.0, ml=1.0)
    chart = density_chart(numbers.hu_histogram, [band], None)
    assert "<script>" not in chart
    ElementTree.fromstring(chart)


def test_profile_knows_the_worst_slice(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    ElementTree.fromstring(profile_chart(measured))
    worst = 30 - int(measured.infected_cm2.argmax())
    assert f"slice {worst} of 30" in profile_sentence(measured)
    healthy = make_case(infected=False)
    assert profile_sentence(profile(healthy.lungs, healthy.infection)) == ""
    ElementTree.fromstring(profile_chart(profile(healthy.lungs, healthy.infection)))


def test_zones_have_the_right_lung_on_the_left_and_the_scores_as_colours(case: Case) -> None:
    drawing = zone_diagram(profile(case.lungs, case.infection), make_measurements().zones, SPACING)
    assert drawing is not None
    ElementTree.fromstring(drawing)
    assert re.findall(r'class="zone score-(\d)"', drawing) == ["0", "1", "3", "0", "2", "4"]
    across = [float(x) for x in re.findall(r'class="zone-text on-\d" x="(\d+)"', drawing)]
    down = [float(y) for y in re.findall(r'class="zone-text on-\d" x="\d+" y="(\d+)"', drawing)]
    assert max(across[:3]) < min(across[3:])
    assert down[:3] == sorted(down[:3])
    assert "right lower 31.5 %, score 3" in drawing


def test_a_share_too_small_to_show_is_well_formed(case: Case) -> None:
    numbers = make_measurements()
    zones = [zone.model_copy(update={"percent": 0.01}) for zone in numbers.zones]
    drawing = zone_diagram(profile(case.lungs, case.infection), zones, SPACING)
    assert drawing is not None
    assert "".join(ElementTree.fromstring(drawing).itertext()).count("< 0.1 %") == 6
    assert numbers.hu_histogram is not None
    band = DensityBand(name="collapsed", low_hu=-2000, high_hu=-900, percent=0.01, ml=1.0)
    assert "collapsed: < 0.1 %" in "".join(
        ElementTree.fromstring(density_chart(numbers.hu_histogram, [band], None)).itertext()
    )


def test_no_drawing_without_lungs_or_with_other_zones(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    zones = make_measurements().zones
    assert zone_diagram(measured, zones[:5], SPACING) is None
    renamed = [zone.model_copy(update={"name": f"part {place}"}) for place, zone in enumerate(zones)]
    assert zone_diagram(measured, renamed, SPACING) is None
    empty = make_case(lungs=False)
    assert zone_diagram(profile(empty.lungs, empty.infection), zones, SPACING) is None


@pytest.mark.parametrize("side", [1, 2])
def test_one_lung_is_enough_for_a_drawing(case: Case, side: int) -> None:
    labels = np.where(case.lungs.labels == side, case.lungs.labels, 0).astype(np.uint8)
    lone = make_case()
    lungs = type(lone.lungs)(labels, lone.lungs.geometry, lone.lungs.names, lone.lungs.source)
    drawing = zone_diagram(profile(lungs, case.infection), make_measurements().zones, SPACING)
    assert drawing is not None
    assert drawing.count('class="zone ') == 3
