from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from groundglass.analysis import Analysis, Classification, SourceRecord
from groundglass.errors import GeometryMismatchError
from groundglass.finding import Finding
from groundglass.geometry import Geometry
from groundglass.report import wording
from groundglass.report.html import methods_text
from groundglass.report.render import render_pictures, render_volume
from tests.report.conftest import LICENCE, SHAPE, Case, make_analysis, make_case, make_pictures, unknown_measurements

VOID = {"meta", "link", "img", "input", "br"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
NO_LUNGS = Finding(code="no-lungs", severity="error", text="No lungs were found.", action="Check the input.")


class Page(HTMLParser):
    """Elements of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(case: Case, analysis: Analysis) -> str:
    rendered = render_volume(case.volume, case.lungs, case.infection, analysis=analysis, licence=LICENCE)
    return rendered.report_html


def words(text: str) -> str:
    """What a reader sees of a page, in one line."""
    body = re.sub(r"<(script|style|title)\b.*?</\1>", " ", text, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", body))


@pytest.fixture(scope="module")
def page_text() -> str:
    return report(make_case(), make_analysis())


def test_page_is_well_formed_and_accessible(page_text: str) -> None:
    page = Page(page_text)
    assert page.all("html")[0]["lang"] == "en"
    for landmark in ("header", "main", "footer", "h1", "head"):
        assert len(page.all(landmark)) == 1
    assert all(image.get("alt") for image in page.all("img"))
    assert all(head.get("scope") in {"col", "row"} for head in page.all("th"))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    labelled = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(labelled) <= set(names)
    assert all(control.get("aria-label") or control["type"] == "checkbox" for control in page.all("input"))


def test_page_loads_nothing(page_text: str) -> None:
    page = Page(page_text)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            assert str(attributes.get(name) or "data:").startswith("data:")
    assert "http://" not in page_text
    assert "https://" not in page_text
    assert "@import" not in page_text
    assert "url(" not in page_text
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert len(page_text) < 5_000_000


def test_main_answer_has_units_and_sensible_digits(page_text: str) -> None:
    seen = words(page_text)
    for expected in ("12.5 %", "10.1 % to 14.9 %", "18.1 %", "5.9 %", "512 ml", "4,103 ml", "10 of 24", "−790 HU"):
        assert expected in seen
    assert "Not a medical device" in seen
    assert LICENCE in seen
    assert "21 November 2026, 11:06 UTC" in seen
    assert "4103.4" not in seen
    assert "None" not in seen


def test_findings_stand_with_their_severity_and_errors_come_before_the_result(case: Case) -> None:
    findings = [
        Finding(code="thick", severity="info", text="Thick slices."),
        Finding(code="not-hu", severity="error", text="These are not Hounsfield units.", action="Export again."),
        Finding(code="cut-off", severity="warning", text="The lungs are cut off."),
    ]
    text = report(case, make_analysis(findings=findings))
    Page(text)
    seen = words(text)
    assert "Do not use these numbers" in seen
    order = [
        seen.index(word) for word in ("These are not Hounsfield", "Result", "The lungs are cut off", "Thick slices")
    ]
    assert order == sorted(order)
    assert "What to do: Export again." in seen


def test_no_lungs_means_no_confident_number() -> None:
    empty = make_case(lungs=False)
    text = report(empty, make_analysis(findings=[NO_LUNGS], measurements=unknown_measurements()))
    Page(text)
    seen = words(text)
    assert "No lungs were found" in seen
    assert "What to do: Check the input." in seen
    for absent in ("Severity score", "Involvement", "Lung volume", " ml ", "infected"):
        assert absent not in seen.split("Methods")[0]
    assert not re.search(r"class=\"huge", text)


def test_no_lungs_hides_numbers_even_if_the_record_has_some() -> None:
    empty = make_case(lungs=False)
    seen = words(report(empty, make_analysis(findings=[NO_LUNGS])))
    assert "12.5" not in seen
    assert "4,103" not in seen


@pytest.mark.parametrize("units", ["HU", "grey"])
def test_unknown_numbers_are_named_with_a_reason(case: Case, units: str) -> None:
    source = SourceRecord(format="nifti", shape=list(SHAPE), spacing_mm=None, orientation=None, units=units)  # type: ignore[arg-type]
    text = report(case, make_analysis(source=source, measurements=unknown_measurements()))
    Page(text)
    seen = words(text)
    assert "not known" in seen
    assert "the spacing of the voxels is missing" in seen
    assert ("the scan holds grey values" in seen) == (units == "grey")
    assert "None" not in seen


def test_hostile_text_stays_text(case: Case) -> None:
    analysis = make_analysis(
        case=HOSTILE,
        findings=[Finding(code="odd", severity="error", text=HOSTILE, action=HOSTILE)],
        source=SourceRecord(
            format=HOSTILE, shape=[1], spacing_mm=None, orientation=HOSTILE, units="HU", details={HOSTILE: HOSTILE}
        ),
    )
    run = analysis.run.model_copy(
        update={
            "options": {HOSTILE: HOSTILE},
            "seconds": {HOSTILE: 1.0},
            "libraries": {HOSTILE: HOSTILE},
            "platform": HOSTILE,
            "started": HOSTILE,
            "precision": HOSTILE,
        }
    )
    zones = [zone.model_copy(update={"name": HOSTILE}) for zone in analysis.measurements.zones]
    numbers = analysis.measurements.model_copy(update={"zones": zones})
    hostile = analysis.model_copy(update={"run": run, "measurements": numbers})
    rendered = render_volume(case.volume, case.lungs, case.infection, analysis=hostile, licence=HOSTILE)
    page = Page(rendered.report_html)
    clean = Page(report(case, make_analysis()))
    assert len(page.all("script")) == len(clean.all("script"))
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert len(page.all("img")) == len(clean.all("img"))
    assert "49" not in re.findall(r"onerror=alert\(1\)&gt;(\S*)", rendered.report_html)


def test_slices_are_real_pictures_with_outlines(page_text: str) -> None:
    page = Page(page_text)
    images = page.all("img")
    with_lung = int(make_case().lungs.labels.any(axis=(0, 1)).sum())
    assert len(images) == with_lung + 2 + 3, "every slice with lung, a coronal and a sagittal plane, three solid views"
    source = images[10]["src"]
    assert source is not None
    data = np.frombuffer(b64decode(source.split(",")[1]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    frame = page.all("svg")[1]["viewbox"]
    assert frame == f"0 0 {picture.shape[1]} {picture.shape[0]}"
    for layer in ("right-lung", "left-lung", "ground-glass", "consolidation"):
        assert re.search(rf'<path class="{layer}" d="M[^"]+z"', page_text)


def test_classification_says_what_it_is_or_that_it_is_not_there(case: Case, page_text: str) -> None:
    assert "Classification Not part of this result." in words(page_text)
    found = Classification(
        probabilities={"COVID": 0.7, "OtherPneumonia": 0.2, "Normal": 0.1},
        label="COVID",
        calibrated=False,
        abstained=False,
    )
    seen = words(report(case, make_analysis(classification=found)))
    assert "COVID-19 pneumonia" in seen
    assert "70.0 %" in seen
    assert "not calibrated" in seen
    unsure = found.model_copy(update={"label": None, "abstained": True, "calibrated": True})
    seen = words(report(case, make_analysis(classification=unsure)))
    assert "abstains" in seen
    assert "Calibrated probabilities" in seen


def test_picture_report_has_shares_only() -> None:
    pictures, lungs, infection, analysis = make_pictures(4)
    rendered = render_pictures(pictures, lungs, infection, analysis=analysis, licence=LICENCE)
    page = Page(rendered.report_html)
    assert len(page.all("img")) == 4
    seen = words(rendered.report_html)
    assert "7.5 %" in seen
    assert "Severity score" not in seen
    assert "slice-002.png" in seen
    assert "no lung in it" in seen
    assert " ml" not in seen.split("Methods")[0].replace("millimetres", "")
    assert rendered.overlay_png.startswith(b"\x89PNG")


def test_large_picture_sets_stay_small() -> None:
    pictures, lungs, infection, analysis = make_pictures(75)
    text = render_pictures(pictures, lungs, infection, analysis=analysis, licence=LICENCE).report_html
    assert len(Page(text).all("img")) == 60
    assert "60 of 75 pictures" in words(text)
    assert all(f"slice-{place:03d}.png" in text for place in range(75))


def test_labels_on_another_grid_are_refused(case: Case) -> None:
    other = replace(case.lungs, geometry=Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)))
    with pytest.raises(GeometryMismatchError):
        render_volume(case.volume, other, case.infection, analysis=make_analysis(), licence=LICENCE)


def test_methods_name_version_model_and_definitions() -> None:
    text = methods_text(make_analysis())
    for expected in ("Groundglass 9.8.7", "ab" * 32, "−200 HU", "bf16", "numpy 2.0", "0 to 24"):
        assert expected in text
    assert "HU" not in methods_text(make_pictures(2)[3])


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "not known"), (0.0, "0.0 %"), (0.01, "< 0.1 %"), (3.14159, "3.1 %"), (100.0, "100.0 %")],
)
def test_percent(value: float | None, said: str) -> None:
    assert wording.percent(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "not known"),
        (0.0, "0 ml"),
        (0.01, "< 0.1 ml"),
        (12.34, "12.3 ml"),
        (99.96, "100 ml"),
        (4103.4, "4,103 ml"),
    ],
)
def test_millilitres(value: float | None, said: str) -> None:
    assert wording.millilitres(value) == said


def test_keys_are_shown_in_words() -> None:
    assert wording.fact_name("slice_thickness_mm") == "Slice thickness (mm)"
    assert wording.fact_name("kernel") == "Kernel"
    assert wording.fact_name("kvp") == "Tube voltage (kV)"


def test_the_most_infected_slice_is_shown_first(case: Case, page_text: str) -> None:
    start = re.search(r'data-start="(\d+)"', page_text)
    assert start is not None
    indices = re.findall(r'data-index="(\d+)"', page_text)
    assert indices[int(start.group(1))] == str(30 - 12)


def test_moments_that_are_no_date_are_shown_as_they_are() -> None:
    assert wording.moment("yesterday") == "yesterday"
    assert wording.moment("2026-01-02T03:04:05") == "2 January 2026, 03:04"
