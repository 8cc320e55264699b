"""Lesions, density and lobes in the report of a scan that has them, and not where they are unknown."""

from __future__ import annotations

from groundglass.analysis import Lobe, LungDensity, ScoreRange
from groundglass.measure.lesions import lesions
from groundglass.report.render import render_volume
from tests.report.conftest import LICENCE, Case, make_analysis, make_measurements


def page(case: Case, **changes: object) -> str:
    numbers = make_measurements().model_copy(update=changes)
    analysis = make_analysis(measurements=numbers)
    return render_volume(case.volume, case.lungs, case.infection, analysis=analysis, licence=LICENCE).report_html


def test_lesions_and_density_are_shown(case: Case) -> None:
    density = LungDensity(
        name="both lungs",
        mean_hu=-801.6,
        sd_hu=150.2,
        percentiles_hu={"p15": -912.0, "p50": -860.0},
        laa_950_percent=1.25,
        haa_percent=7.5,
    )
    found = lesions(case.lungs, case.infection)
    shown = page(case, lesions=found, lung_density=[density], zonal_severity_range=ScoreRange(low=9, high=12))
    for words in ("−802 ± 150", "−912", "7.5 %", "9 to 12", "1 (right 1, left 0)", "posterior half"):
        assert words in shown, words


def test_lobes_take_the_place_of_the_density_table(case: Case) -> None:
    lobe = Lobe(name="right upper lobe", lung_ml=900.0, infection_ml=90.0, percent=10.0, score=2)
    shown = page(case, lobes=[lobe], lobar_severity_score=14)
    for words in ("Right upper lobe", "Lobe score (0 to 25)", "14"):
        assert words in shown, words


def test_nothing_is_invented_where_it_is_unknown(case: Case) -> None:
    shown = page(case)
    assert "LAA-950" not in shown
    assert "Lobe score" not in shown
