"""The report as a PDF of two to three pages, typeset by typst inside this process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from groundglass.analysis import CLASS_NAMES, Analysis
from groundglass.errors import OptionError
from groundglass.report import wording
from groundglass.report.charts import density_chart, profile_chart, profile_sentence, zone_diagram
from groundglass.report.fonts import font_folder
from groundglass.report.html import methods_text
from groundglass.report.palette import CONSOLIDATION, GROUND_GLASS, SCORES, css
from groundglass.report.solid import Solid, solid_views
from groundglass.report.views import profile
from groundglass.volume import LabelMap

_JPEG_QUALITY = 86
_OVERLAY_WIDTH = 1950


@dataclass(frozen=True, slots=True)
class PdfPictures:
    """Pictures that the analysis left behind; each is left out of the report where None.

    Attributes:
        overlay_png: content of `overlay.png`.
        attention_png: content of `attention.png`.
    """

    overlay_png: bytes | None = None
    attention_png: bytes | None = None


def pdf_report(
    analysis: Analysis, lungs: LabelMap, infection: LabelMap, *, pictures: PdfPictures, licence: str
) -> bytes:
    """Typeset the report of a scan.

    Args:
        analysis: the record of the case.
        lungs: 1 = right, 2 = left.
        infection: 1 = ground-glass, 2 = consolidation, on the same grid.
        pictures: the overlay and the heat maps.
        licence: terms of the model, as plain text.

    Returns:
        Content of a PDF file.

    Raises:
        OptionError: typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise OptionError(
            "the PDF report needs typst, which is not installed: pip install 'groundglass[export]'"
        ) from None
    with tempfile.TemporaryDirectory(prefix="groundglass-") as scratch:
        folder = Path(scratch)
        template = files("groundglass.report") / "templates" / "report.typ"
        (folder / "report.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        written = _pictures(folder, analysis, (lungs, infection), pictures)
        content = _content(analysis, licence) | {"pictures": written}
        (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")
        fonts = font_folder()
        pdf = typst.compile(
            str(folder / "report.typ"),
            root=str(folder),
            font_paths=[] if fonts is None else [str(fonts)],
            ignore_system_fonts=True,
        )
    return bytes(pdf)


def _content(analysis: Analysis, licence: str) -> dict[str, Any]:
    """Everything the template prints, as text."""
    numbers = analysis.measurements
    interval = numbers.involvement_interval_percent
    return {
        "case": analysis.case,
        "no_lungs": wording.no_lungs(analysis),
        "doubtful": any(finding.severity == "error" for finding in analysis.findings),
        "facts": _facts(analysis),
        "involvement": wording.percent(numbers.involvement_percent.total),
        "interval": wording.spread(interval) if interval else "",
        "sides": [
            {"name": name, "text": wording.percent(value), "share": min(value or 0.0, 100.0)}
            for name, value in (
                ("Right lung", numbers.involvement_percent.right),
                ("Left lung", numbers.involvement_percent.left),
            )
        ],
        "keys": _keys(analysis),
        "volumes": _volumes(analysis),
        "zones": [
            [
                zone.name.capitalize(),
                *map(wording.millilitres, (zone.lung_ml, zone.infection_ml)),
                wording.percent(zone.percent),
                "–" if zone.score is None else str(zone.score),
            ]
            for zone in numbers.zones
        ],
        "bands": [
            [
                band.name,
                f"{wording.minus(band.low_hu)} to {wording.minus(band.high_hu)}",
                wording.millilitres(band.ml),
                wording.percent(band.percent),
            ]
            for band in numbers.density_bands or ()
        ],
        "score": "–" if numbers.zonal_severity_score is None else str(numbers.zonal_severity_score),
        "details": _details(analysis),
        "classification": _classification(analysis),
        "evidence": _evidence(analysis),
        "findings": [finding.model_dump() for finding in analysis.findings],
        "methods": methods_text(analysis),
        "licence": licence,
        "version": analysis.run.groundglass,
        "models": [f"{model.name}, SHA-256 {model.sha256}" for model in analysis.run.models],
        "colours": {"scores": [css(colour) for colour in SCORES]},
    }


def _details(analysis: Analysis) -> list[list[str]]:
    """Lesions, high opacity, density and lobes, as name and value."""
    numbers, rows = analysis.measurements, []
    if (lesions := numbers.lesions) is not None:
        rows.append(["Lesions of at least 0.1 ml", f"{lesions.count} (right {lesions.right}, left {lesions.left})"])
        rows.append(["Largest lesion", wording.millilitres(lesions.largest_ml[0]) if lesions.largest_ml else "–"])
        for name, share, usual in (
            ("Within 10 mm of the surface", lesions.peripheral_percent, lesions.peripheral_lung_percent),
            ("In the posterior half", lesions.posterior_percent, lesions.posterior_lung_percent),
        ):
            shown = "–" if share is None else wording.percent(share)
            rows.append([name, f"{shown} (of the lung {wording.percent(usual)})"])
    if numbers.high_opacity_percent is not None:
        rows.append(["High opacity, −200 HU and more", wording.percent(numbers.high_opacity_percent.total)])
    for density in (numbers.lung_density or ())[:1]:
        rows.append(["Density, mean ± SD", f"{wording.hounsfield(density.mean_hu)} ± {density.sd_hu:.0f}"])
        rows.append(["Below −950 HU (LAA-950)", wording.percent(density.laa_950_percent)])
        rows.append(["−600 to −250 HU (HAA)", wording.percent(density.haa_percent)])
    for lobe in numbers.lobes or ():
        score = "–" if lobe.score is None else str(lobe.score)
        rows.append([lobe.name.capitalize(), f"{wording.percent(lobe.percent)}, score {score}"])
    if numbers.lobar_severity_score is not None:
        rows.append(["Lobe score (0 to 25)", str(numbers.lobar_severity_score)])
    return rows


def _classification(analysis: Analysis) -> str:
    """The classifier's answer in a sentence; empty where none took part."""
    answer = analysis.classification
    if answer is None:
        return ""
    head = "The program abstains."
    if answer.meaningless:
        return " ".join([head, *answer.reasons])
    shares = ", ".join(f"{name} {100 * value:.0f} %" for name, value in answer.probabilities.items())
    if answer.label is not None and not answer.abstained:
        head = f"Most similar to: {CLASS_NAMES[answer.label]}."
    calibrated = "calibrated" if answer.calibrated else "not calibrated: read them as an order, not as a chance"
    sentences = [f"{head} Probabilities ({calibrated}): {shares}.", *answer.reasons]
    return " ".join(sentences)


def _evidence(analysis: Analysis) -> str:
    """The class whose heat maps are shown: the likeliest, also where the program abstains."""
    answer = analysis.classification
    if answer is None:
        return ""
    return CLASS_NAMES[max(answer.probabilities, key=lambda name: answer.probabilities[name])]


def _facts(analysis: Analysis) -> list[list[str]]:
    source = analysis.source
    facts = [
        ["Analyzed", wording.moment(analysis.run.started)],
        [
            "Input",
            f"{source.format}, {wording.size(analysis)}" + (f", {source.orientation}" if source.orientation else ""),
        ],
    ]
    shown = ("kernel", "slice_thickness_mm", "manufacturer", "model")
    facts += [[wording.fact_name(key), source.details[key]] for key in shown if key in source.details]
    return [*facts, ["Program", f"Groundglass {analysis.run.groundglass}"]]


def _keys(analysis: Analysis) -> list[list[str]]:
    """Name, number and remark of each key number."""
    numbers = analysis.measurements
    share = numbers.consolidation_share_percent
    score = "not known" if numbers.zonal_severity_score is None else f"{numbers.zonal_severity_score} of 24"
    return [
        ["Severity score", score, "six zones, 0 to 4 each"],
        [
            "Infected volume",
            wording.millilitres(numbers.infection_volume_ml.total),
            "" if share is None else f"{wording.percent(share)} of it consolidation",
        ],
        [
            "Lung volume",
            wording.millilitres(numbers.lung_volume_ml.total),
            f"right {wording.millilitres(numbers.lung_volume_ml.right)}, "
            f"left {wording.millilitres(numbers.lung_volume_ml.left)}",
        ],
        [
            "Mean density",
            wording.hounsfield(numbers.mean_lung_hu),
            "" if numbers.mean_infection_hu is None else f"infection {wording.hounsfield(numbers.mean_infection_hu)}",
        ],
    ]


def _volumes(analysis: Analysis) -> list[list[str]]:
    numbers = analysis.measurements
    rows = []
    for side, name in (("right", "Right lung"), ("left", "Left lung"), ("total", "Both lungs")):
        rows.append(
            [
                name,
                wording.millilitres(getattr(numbers.lung_volume_ml, side)),
                wording.millilitres(getattr(numbers.infection_volume_ml, side)),
                wording.percent(getattr(numbers.involvement_percent, side)),
            ]
        )
    return rows


def _pictures(
    folder: Path, analysis: Analysis, masks: tuple[LabelMap, LabelMap], pictures: PdfPictures
) -> dict[str, Any]:
    """Write pictures and charts beside the template; names by purpose."""
    lungs, infection = masks
    measured, numbers = profile(lungs, infection), analysis.measurements
    found: dict[str, Any] = {"solids": [], "profile_words": profile_sentence(measured)}
    for name, png in (("overlay", pictures.overlay_png), ("attention", pictures.attention_png)):
        if png is not None:
            (folder / f"{name}.jpg").write_bytes(_as_jpeg(png))
            found[name] = f"{name}.jpg"
    if wording.no_lungs(analysis) or measured.lung_slices is None:
        return found
    charts = {
        "zones": zone_diagram(measured, numbers.zones, lungs.geometry.spacing),
        "profile": profile_chart(measured),
        "density": density_chart(numbers.hu_histogram, numbers.density_bands or (), numbers.mean_lung_hu)
        if numbers.hu_histogram
        else None,
    }
    for name, drawing in charts.items():
        if drawing is not None:
            (folder / f"{name}.svg").write_text(_standalone(drawing), encoding="utf-8")
            found[name] = f"{name}.svg"
    found["solids"] = _write_solids(folder, solid_views(lungs, infection))
    return found


def _write_solids(folder: Path, solids: Sequence[Solid]) -> list[dict[str, Any]]:
    written = []
    for place, solid in enumerate(solids):
        name = f"solid-{place}.jpg"
        _, data = cv2.imencode(".jpg", solid.pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        (folder / name).write_bytes(data.tobytes())
        written.append({"file": name, "title": solid.title, "width": solid.pixels.shape[1]})
    return written


def _as_jpeg(png: bytes) -> bytes:
    picture: NDArray[np.uint8] = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    if picture.shape[1] > _OVERLAY_WIDTH:
        size = (_OVERLAY_WIDTH, round(picture.shape[0] * _OVERLAY_WIDTH / picture.shape[1]))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)


def _standalone(drawing: Markup) -> str:
    """A chart of the HTML report as an SVG file of its own, with the light colours of the style sheet."""
    rules = [
        "text{font-family:'DejaVu Sans';font-size:14px;fill:#51606d}",
        ".end{text-anchor:end}.middle{text-anchor:middle}.name{fill:#14202b}",
        ".grid{stroke:#dbe2e8}.axis{stroke:#51606d}.curve{fill:#33566b;fill-opacity:.78}",
        ".mark{stroke:#14202b;stroke-width:1.5;stroke-dasharray:5 4}.mark-text{fill:#14202b;font-weight:700}",
        f".fill-ground-glass{{fill:{css(GROUND_GLASS)}}}.fill-consolidation{{fill:{css(CONSOLIDATION)}}}",
        ".cursor{display:none}.band{fill-opacity:.5}",
        ".zone{stroke:#fff;stroke-width:3;stroke-linejoin:round}.score-none{fill:#dbe2e8}",
        ".zone-text{text-anchor:middle;fill:#14202b;font-weight:700;font-size:19px}",
        ".zone-score{text-anchor:middle;fill:#14202b;font-size:14px}.on-4{fill:#fff}",
        ".letter{font-weight:700;font-size:18px}",
    ]
    rules += [f".zone.score-{score}{{fill:{css(colour)}}}" for score, colour in enumerate(SCORES)]
    bands = ("#9ec9e6", "#bfe3cf", "#f6e6a2", "#f4c08d", "#dd9c9c", "#c4b5d9")
    rules += [f".band-{place}{{fill:{colour}}}" for place, colour in enumerate(bands)]
    head, body = str(drawing).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{"".join(rules)}</style>{body}'
