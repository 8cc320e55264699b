"""The report as one HTML file that needs nothing else: style, script, charts and pictures are inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from groundglass.analysis import CLASS_NAMES, Analysis
from groundglass.models.catalog import CLASSIFIER
from groundglass.report import wording
from groundglass.report.attention import AttentionPicture
from groundglass.report.gallery import Slide, SolidPicture
from groundglass.report.palette import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    RIGHT_LUNG,
    SCORES,
    css,
)

_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class ReportImages:
    """Pictures and charts of a report.

    Attributes:
        slides: axial slices from head to feet, or the pictures of a set.
        start: place of the slide that is shown first.
        planes: coronal and sagittal picture; empty for pictures.
        zones: drawing of the six zones.
        profile: chart of the infected area per slice.
        profile_words: the same in a sentence.
        density: chart of the lungs' density.
        shown_of: how many slices or pictures there are in all.
        solids: lungs and infection as solid bodies; empty for pictures.
        attention: the slices that drove the classification, with their heat maps.
    """

    slides: Sequence[Slide]
    start: int = 0
    planes: Sequence[Slide] = ()
    zones: Markup | None = None
    profile: Markup | None = None
    profile_words: str = ""
    density: Markup | None = None
    shown_of: int = 0
    solids: Sequence[SolidPicture] = ()
    attention: Sequence[AttentionPicture] = ()


def render_report(analysis: Analysis, images: ReportImages, *, licence: str) -> str:
    """Write the report.

    Args:
        analysis: the record of the case; every text in it is escaped.
        images: its pictures and charts.
        licence: terms of the model, as plain text.

    Returns:
        A complete HTML page that loads nothing from anywhere.
    """
    template = report_environment().get_template("report.html.j2")
    rank = {severity: place for place, severity in enumerate(_SEVERITIES)}
    findings = sorted(analysis.findings, key=lambda finding: rank[finding.severity])
    return template.render(
        analysis=analysis,
        numbers=analysis.measurements,
        images=images,
        findings=findings,
        errors=sum(finding.severity == "error" for finding in findings),
        no_lungs=wording.no_lungs(analysis),
        pictures=wording.is_picture(analysis),
        methods=methods_text(analysis),
        licence=licence,
        style=_colours() + _resource("report.css"),
        script=_resource("report.js"),
        w=wording,
        class_names=CLASS_NAMES,
    )


def methods_text(analysis: Analysis) -> str:
    """How the numbers came about, as a paragraph for the methods section of a paper."""
    run = analysis.run
    libraries = ", ".join(f"{name} {version}" for name, version in run.libraries.items())
    kind = "CT pictures" if wording.is_picture(analysis) else "Chest CT"
    named = {model.name: f"{model.name}, SHA-256 {model.sha256}" for model in run.models}
    segmenters = [model for model in run.models if model.name != CLASSIFIER]
    models = "; ".join(
        (f"{' and '.join(model.gave)}: " if len(segmenters) > 1 and model.gave else "")
        + f"{model.name}, SHA-256 {model.sha256}"
        for model in segmenters
    )
    parts = [f"{kind} were analyzed" if kind == "CT pictures" else f"{kind} was analyzed"]
    parts[0] += f" with Groundglass {run.groundglass} (Python {run.python}" + (f"; {libraries})" if libraries else ")")
    if models:
        parts.append(
            "Right lung, left lung and infection were segmented automatically by a neural network "
            f"({models}; computed in {run.precision} precision)"
        )
    parts.append("Involvement is the infected share of the lung, with the infection counted as part of the lung")
    if analysis.measurements.lung_volume_ml.total is not None:
        parts.append(
            "Volumes were computed from the number of voxels and the volume of a voxel in the image's geometry"
        )
    if analysis.classification is not None and CLASSIFIER in named:
        parts.append(
            "Slices were classified as COVID-19 pneumonia, other pneumonia or normal by a second neural network "
            f"({named[CLASSIFIER]}); of up to 24 slices spread over the lungs, the third least likely to be normal was "
            "averaged"
        )
    if analysis.measurements.subtype_method == "hu-threshold":
        parts.append("Infected voxels of at least −200 HU were counted as consolidation, the others as ground-glass")
    elif analysis.measurements.subtype_method == "network":
        parts.append("Ground-glass and consolidation are classes of the network")
    if analysis.measurements.zonal_severity_score is not None:
        parts.append(
            "Each lung was divided into three zones of equal height (upper, middle, lower); a zone scores 0 without "
            "infection, 1 below 5 %, 2 from 5 to below 25 %, 3 from 25 to below 50 % and 4 from 50 % involvement; the "
            "severity score is the sum of the six zones (0 to 24)"
        )
    parts.append(f"Cite as: Groundglass, version {run.groundglass} (computer software, Apache-2.0)")
    return ". ".join(parts) + "."


@cache
def report_environment() -> Environment:
    """The templates of this package, with escaping of every text."""
    return Environment(
        loader=PackageLoader("groundglass.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _resource(name: str) -> Markup:
    return Markup((files("groundglass.report") / "templates" / name).read_text(encoding="utf-8"))


def _colours() -> Markup:
    """Style sheet variables of the colours that pictures and charts share."""
    named = {
        "right-lung": RIGHT_LUNG,
        "left-lung": LEFT_LUNG,
        "ground-glass": GROUND_GLASS,
        "consolidation": CONSOLIDATION,
    }
    named.update({f"score-{score}": colour for score, colour in enumerate(SCORES)})
    return Markup(":root{" + "".join(f"--{name}:{css(colour)};" for name, colour in named.items()) + "}\n")
