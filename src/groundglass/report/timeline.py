"""The report of a comparison: numbers over time, and where infection came and went."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from groundglass import __version__
from groundglass.analysis import Analysis
from groundglass.measure.compare import Comparison
from groundglass.report import wording
from groundglass.report.charts import nice_ticks
from groundglass.report.contours import polygons
from groundglass.report.drawing import LINE, Canvas, Frame
from groundglass.report.figures import NOTICE
from groundglass.report.html import report_environment
from groundglass.report.palette import MUTED, RGB
from groundglass.report.views import View, axial_views, coronal_view, profile, spread_slices
from groundglass.volume import CTVolume, LabelMap

CHANGE_COLOURS: tuple[tuple[int, str, RGB], ...] = (
    (1, "New", (222, 75, 60)),
    (2, "Persistent", (245, 216, 60)),
    (3, "Resolved", (86, 180, 233)),
)
_TILE, _COLUMNS, _EDGE, _GAP, _HEAD, _FOOT = 372, 4, 24, 8, 84, 44


@dataclass(frozen=True, slots=True)
class TimelineImages:
    """Pictures of one follow-up as PNG, by case."""

    case: str
    change_png: bytes


def change_picture(change: LabelMap, lungs: LabelMap, volume: CTVolume | None, *, title: str) -> bytes:
    """Slices of the baseline with new, persistent and resolved infection drawn in, as PNG.

    Args:
        change: 1 = new, 2 = persistent, 3 = resolved, on the baseline's grid.
        lungs: lungs of the baseline.
        volume: the baseline scan; without it the lungs are drawn as grey shapes.
        title: first line.
    """
    shown = volume or _stand_in(lungs)
    measured = profile(lungs, change)
    slices = spread_slices(measured, 7)
    views = [*axial_views(shown, lungs, change, measured, slices), coronal_view(shown, lungs, change, measured)]
    high = round(_TILE * max(view.extent[0] / view.extent[1] for view in views)) + 2 * LINE
    rows = -(-len(views) // _COLUMNS)
    canvas = Canvas(2 * _EDGE + _COLUMNS * (_TILE + _GAP) - _GAP, _HEAD + rows * (high + _GAP) - _GAP + _FOOT)
    for place, view in enumerate(views):
        row, column = divmod(place, _COLUMNS)
        frame = Frame(_EDGE + column * (_TILE + _GAP), _HEAD + row * (high + _GAP), _TILE, high)
        _tile(canvas, view, frame)
    canvas.text((_EDGE, 36), title, size=24, bold=True)
    across = _EDGE
    for _, name, colour in CHANGE_COLOURS:
        canvas.rectangle(Frame(across, 54, 16, 16), colour)
        canvas.text((across + 24, 68), name, size=16)
        across += 150
    canvas.text((_EDGE, canvas.height - 16), NOTICE, size=13, colour=MUTED)
    data = cv2.imencode(".png", np.asarray(canvas.picture())[:, :, ::-1])[1]
    return bytes(data)


def timeline_report(comparison: Comparison, analyses: Sequence[Analysis], images: Sequence[TimelineImages]) -> str:
    """Write the report of a comparison as one HTML page that loads nothing.

    Args:
        comparison: the differences.
        analyses: records of all scans, the baseline first.
        images: the picture of each follow-up.
    """
    pictures = {one.case: b64encode(one.change_png).decode("ascii") for one in images}
    return (
        report_environment()
        .get_template("timeline.html.j2")
        .render(
            comparison=comparison,
            analyses=analyses,
            pictures=pictures,
            course=course_chart(analyses),
            colours=[(name, "#{:02x}{:02x}{:02x}".format(*colour)) for _, name, colour in CHANGE_COLOURS],
            version=__version__,
            notice=NOTICE,
            w=wording,
        )
    )


def course_chart(analyses: Sequence[Analysis]) -> Markup:
    """Bars of ground-glass and consolidation in millilitres, one per scan, with the involvement above."""
    wide, high, left, foot = 160 + 150 * len(analyses), 300, 64, 250
    totals = [numbers.infection_volume_ml.total or 0.0 for numbers in (one.measurements for one in analyses)]
    ticks = nice_ticks(max(totals) * 1.15)
    scale = (foot - 24) / ticks[-1]
    parts = []
    for tick in ticks:
        y = foot - tick * scale
        parts.append(f'<line class="grid" x1="{left}" x2="{wide - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{left - 7}" y="{y + 4:.1f}">{tick:g}</text>')
    for place, one in enumerate(analyses):
        numbers, x = one.measurements, left + 40 + place * 150
        dense = numbers.infection_volume_ml.consolidation or 0.0
        light = (numbers.infection_volume_ml.total or 0.0) - dense
        for name, low, amount in (("consolidation", 0.0, dense), ("ground-glass", dense, light)):
            y, tall = foot - (low + amount) * scale, amount * scale
            parts.append(f'<rect class="fill-{name}" x="{x}" y="{y:.1f}" width="80" height="{tall:.1f}"/>')
        y = foot - totals[place] * scale - 8
        share = escape(wording.percent(numbers.involvement_percent.total))
        parts.append(f'<text class="mark-text middle" x="{x + 40}" y="{y:.1f}">{share}</text>')
        label = "baseline" if place == 0 else f"scan {place + 1}"
        parts.append(f'<text class="tick middle" x="{x + 40}" y="{foot + 20}">{label}</text>')
    parts.append(f'<line class="axis" x1="{left}" x2="{wide - 10}" y1="{foot}" y2="{foot}"/>')
    parts.append(f'<text class="name middle" transform="translate(14 {foot / 2}) rotate(-90)">infection, ml</text>')
    label = "Infected volume of each scan, with the involvement in percent"
    return Markup(
        f'<svg viewBox="0 0 {wide} {high}" width="{wide}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _tile(canvas: Canvas, view: View, frame: Frame) -> None:
    canvas.rectangle(frame, (24, 30, 37))
    inner = Frame(frame.left, frame.top + LINE, frame.width, frame.height - 2 * LINE)
    canvas.rectangle(inner, (0, 0, 0))
    filled = canvas.paste(view, inner, labels=False)
    part = canvas.pixels[filled.top : filled.top + filled.height, filled.left : filled.left + filled.width]
    factor = np.array([part.shape[1] / view.grey.shape[1], part.shape[0] / view.grey.shape[0]], dtype=np.float32)
    tile = np.ascontiguousarray(part)
    for value in (1, 2):
        cv2.polylines(tile, _fixed(polygons(view.lungs == value), factor), True, (150, 160, 170), 1, cv2.LINE_AA, 4)
    for value, _, colour in CHANGE_COLOURS:
        outlines = _fixed(polygons(view.infection == value), factor)
        if outlines:
            filling = tile.copy()
            cv2.fillPoly(filling, outlines, colour, cv2.LINE_AA, 4)
            cv2.addWeighted(filling, 0.5, tile, 0.5, 0.0, dst=tile)
            cv2.polylines(tile, outlines, True, colour, 1, cv2.LINE_AA, 4)
    part[...] = tile
    canvas.text((frame.left + 8, frame.top + 18), view.title, size=14, bold=True)
    canvas.text((frame.left + frame.width - 8, frame.top + 18), view.position, size=13, anchor="rs")
    for x, letter, anchor in ((8, view.letters[0], "lm"), (frame.width - 8, view.letters[1], "rm")):
        place = (frame.left + x, frame.top + frame.height // 2)
        canvas.text(place, letter, size=17, bold=True, anchor=anchor, halo=2)


def _fixed(outlines: list[NDArray[np.float32]], factor: NDArray[np.float32]) -> list[NDArray[np.int32]]:
    return [np.rint((outline * factor - 0.5) * 16).astype(np.int32) for outline in outlines]


def _stand_in(lungs: LabelMap) -> CTVolume:
    """Grey shapes where the scan itself is not at hand."""
    values = np.where(lungs.labels > 0, np.float32(60.0), np.float32(15.0))
    return CTVolume(np.asfortranarray(values, dtype=np.float32), lungs.geometry, lungs.source, "grey")
