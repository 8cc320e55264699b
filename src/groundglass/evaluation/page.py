"""The results page: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from groundglass.evaluation.collect import panel_path
from groundglass.evaluation.figures import Drawing
from groundglass.evaluation.panels import FOUND, MISSED, TRUTH, WRONG
from groundglass.evaluation.published import published_for
from groundglass.evaluation.records import Evaluation, VolumeScore
from groundglass.evaluation.statistics import metric_of
from groundglass.report.palette import css

METRIC_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy (all voxels)",
    "nsd": "NSD",
    "hd95_mm": "HD95 (mm)",
    "volume_error_percent": "Volume error (%)",
    "volume_error_ml": "Volume error (ml)",
}
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Example:
    """A volume shown as a picture: `best`, `median` or `worst` by Dice."""

    place: str
    volume: str
    dice: float
    source: str


def render_page(record: Evaluation, drawings: Mapping[str, Drawing], panels: Path) -> str:
    """Write the page.

    Args:
        record: the evaluation; every text in it is escaped.
        drawings: its figures by name.
        panels: folder of the pictures of the volumes; it may be missing.

    Returns:
        A complete HTML page that loads nothing from anywhere.
    """
    counted = [one for one in record.volumes if not one.learned_from] or record.volumes
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            record=record,
            drawings=drawings,
            names=METRIC_NAMES,
            published={one.structure: published_for(one.structure) for one in record.structures},
            examples={one.structure: examples(counted, one.structure, panels) for one in record.structures},
            colours={"truth": css(TRUTH), "found": css(FOUND), "missed": css(MISSED), "wrong": css(WRONG)},
            style=style(),
            value_of=metric_of,
        )
    )


def examples(volumes: list[VolumeScore], structure: str, panels: Path) -> list[Example]:
    """Best, median and worst volume by Dice, of those that have a picture."""
    known = [
        (value, one.volume)
        for one in volumes
        if (value := metric_of(one, structure, "dice")) is not None
        and panel_path(panels, structure, one.volume).is_file()
    ]
    if not known:
        return []
    ranked = sorted(known)
    places = {"worst": 0, "median": len(ranked) // 2, "best": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for place in ("best", "worst", "median"):
        chosen.setdefault(places[place], place)
    shown = sorted(chosen, reverse=True)
    return [
        Example(
            chosen[index],
            ranked[index][1],
            ranked[index][0],
            _data_uri(panel_path(panels, structure, ranked[index][1])),
        )
        for index in shown
    ]


def _data_uri(path: Path) -> str:
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(bytes(data)).decode()}"


@cache
def environment() -> Environment:
    """The templates of the results pages; every text that they are given is escaped."""
    templates = Environment(
        loader=PackageLoader("groundglass.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = shown_number
    return templates


def shown_number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits; a dash where it is not known."""
    return "–" if value is None else f"{value:,.{digits}f}"


@cache
def style() -> Markup:
    """The style sheet of the results pages."""
    report = (files("groundglass.report") / "templates" / "report.css").read_text(encoding="utf-8")
    own = (files("groundglass.evaluation") / "templates" / "evaluation.css").read_text(encoding="utf-8")
    return Markup(report + own)
