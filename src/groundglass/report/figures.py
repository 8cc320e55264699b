"""`overlay.png`: pictures of a scan or of pictures with the lungs and the infection drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from groundglass.analysis import Analysis
from groundglass.report import wording
from groundglass.report.drawing import LINE, Canvas, Frame, fitted, text_width
from groundglass.report.palette import ALERT, CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, MUTED, RGB, RIGHT_LUNG, TEXT
from groundglass.report.views import (
    Grey,
    Profile,
    View,
    axial_views,
    coronal_view,
    picture_views,
    profile,
    sagittal_view,
    spread_pictures,
    spread_slices,
)
from groundglass.volume import CTVolume, LabelMap, PictureSet

NOTICE = "Not a medical device. For research and teaching only; not for diagnosis or treatment."

_EDGE, _GAP, _HEAD, _FOOT = 24, 8, 96, 48
_TILE, _COLUMNS, _SIDE = 372, 4, 372
_Legend = tuple[tuple[str, RGB, bool], ...]
_LUNGS: _Legend = (("Right lung", RIGHT_LUNG, False), ("Left lung", LEFT_LUNG, False))
_KINDS: _Legend = (("Ground-glass", GROUND_GLASS, True), ("Consolidation", CONSOLIDATION, True))
_INFECTION: _Legend = (("Infection", GROUND_GLASS, True),)


def overlay_montage(
    volume: CTVolume,
    lungs: LabelMap,
    infection: LabelMap,
    *,
    analysis: Analysis | None = None,
    measured: Profile | None = None,
    tiles: int = 12,
) -> Image.Image:
    """Axial slices over the height of the lungs, a coronal and a sagittal plane, with contours.

    Args:
        volume: the scan.
        lungs: 1 = right, 2 = left, on its grid.
        infection: 1 = ground-glass, 2 = consolidation, on its grid.
        analysis: record of the case, for the title; without it only the case is named.
        measured: profile of these label maps, if there is one already.
        tiles: axial slices at most.

    Returns:
        RGB picture, about 1,950 pixels wide.
    """
    measured = measured or profile(lungs, infection)
    slices = spread_slices(measured, tiles)
    axial = axial_views(volume, lungs, infection, measured, slices)
    side = [coronal_view(volume, lungs, infection, measured), sagittal_view(volume, lungs, infection, measured)]
    rows = max(2, -(-len(axial) // _COLUMNS))
    high = _tile_height(axial[0], rows)
    inner = rows * high + (rows - 1) * _GAP
    left = _EDGE + _COLUMNS * (_TILE + _GAP) + _GAP
    canvas = Canvas(left + _SIDE + _EDGE, _HEAD + inner + _FOOT)
    for place, view in enumerate(axial):
        row, column = divmod(place, _COLUMNS)
        canvas.tile(view, Frame(_EDGE + column * (_TILE + _GAP), _HEAD + row * (high + _GAP), _TILE, high))
    half = (inner - _GAP) // 2
    for place, view in enumerate(side):
        canvas.tile(view, Frame(left, _HEAD + place * (half + _GAP), _SIDE, half))
    _title(canvas, volume.source.case, analysis)
    window = "Lung window: level −600, width 1500 HU" if volume.units == "HU" else "Grey values as delivered"
    _footer(canvas, window, analysis)
    return canvas.picture()


def picture_panel(view: View, *, analysis: Analysis | None = None, case: str = "") -> Image.Image:
    """One picture beside itself with lungs and infection drawn in.

    Args:
        view: the picture with its labels.
        analysis: record of the case, for the title.
        case: name of the case.
    """
    height, width = view.extent
    wide = 760
    high = int(np.clip(wide * height / width, 420, 900))
    canvas = Canvas(2 * _EDGE + 2 * wide + _GAP, _HEAD + high + _FOOT)
    for place, labels in enumerate((False, True)):
        filled = canvas.paste(view, Frame(_EDGE + place * (wide + _GAP), _HEAD, wide, high), labels=labels)
        words = "Lungs and infection" if labels else "Original"
        canvas.text((filled.left + 10, filled.top + 10), words, size=17, bold=True, anchor="lt", halo=2)
    _title(canvas, case, analysis)
    _footer(canvas, "Orientation and scale of a picture are not known", analysis)
    return canvas.picture()


def picture_montage(views: Sequence[View], *, analysis: Analysis | None = None, case: str = "") -> Image.Image:
    """Several pictures of a set with lungs and infection drawn in.

    Args:
        views: the pictures with their labels.
        analysis: record of the case, for the title.
        case: name of the case.
    """
    columns = min(5, max(3, len(views)))
    rows = -(-len(views) // columns)
    ratio = float(np.median([view.extent[0] / view.extent[1] for view in views]))
    high = int(np.clip(_TILE * ratio, 240, 460)) + 2 * LINE
    canvas = Canvas(2 * _EDGE + columns * (_TILE + _GAP) - _GAP, _HEAD + rows * (high + _GAP) - _GAP + _FOOT)
    for place, view in enumerate(views):
        row, column = divmod(place, columns)
        frame = Frame(_EDGE + column * (_TILE + _GAP), _HEAD + row * (high + _GAP), _TILE, high)
        canvas.tile(view, frame)
    _title(canvas, case, analysis)
    _footer(canvas, "Orientation and scale of a picture are not known", analysis)
    return canvas.picture()


def pictures_overlay(
    pictures: PictureSet, lungs: Sequence[Grey], infection: Sequence[Grey], *, analysis: Analysis | None = None
) -> Image.Image:
    """The overlay of a picture set: a panel for one picture, a montage of up to 20 for more."""
    views = picture_views(pictures, lungs, infection, spread_pictures(infection, 20))
    if len(views) == 1:
        return picture_panel(views[0], analysis=analysis, case=pictures.case)
    return picture_montage(views, analysis=analysis, case=pictures.case)


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    # One filter for all rows: trying them all takes twice as long for a file 3 % smaller.
    quick = [cv2.IMWRITE_PNG_COMPRESSION, 2, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    _, encoded = cv2.imencode(".png", np.asarray(image)[:, :, ::-1], quick)
    return encoded.tobytes()


def headline(analysis: Analysis) -> str:
    """Key numbers of a case in one line."""
    if wording.no_lungs(analysis):
        return "No lungs were found: no numbers"
    numbers = analysis.measurements
    share = numbers.involvement_percent
    parts = [f"Involvement {wording.percent(share.total)}"]
    if share.right is not None and share.left is not None:
        parts[0] += f" (right {wording.percent(share.right)}, left {wording.percent(share.left)})"
    infected, lung = numbers.infection_volume_ml.total, numbers.lung_volume_ml.total
    if infected is not None and lung is not None:
        parts.append(f"infection {wording.millilitres(infected)} of {wording.millilitres(lung)}")
    if numbers.zonal_severity_score is not None:
        parts.append(f"severity score {numbers.zonal_severity_score} of 24")
    return "  ·  ".join(parts)


def _tile_height(view: View, rows: int) -> int:
    height, width = view.extent
    lowest = 200 if rows > 2 else 300
    return int(np.clip(round(_TILE * height / width), lowest, 400)) + 2 * LINE


def _title(canvas: Canvas, case: str, analysis: Analysis | None) -> None:
    room = canvas.width - 2 * _EDGE
    brand = "Groundglass" + (f" {analysis.run.groundglass}" if analysis else "")
    canvas.text((canvas.width - _EDGE, 46), brand, size=18, colour=MUTED, anchor="rs")
    title = fitted(case, room - text_width(brand, 18) - 40, 30, bold=True)
    canvas.text((_EDGE, 46), title, size=30, bold=True)
    if analysis is not None:
        errors = any(finding.severity == "error" for finding in analysis.findings)
        words = headline(analysis) + ("  ·  see the errors in the report" if errors else "")
        canvas.text((_EDGE, 77), fitted(words, room, 19), size=19, colour=ALERT if errors else TEXT)


def _footer(canvas: Canvas, note: str, analysis: Analysis | None) -> None:
    baseline, left = canvas.height - 18, _EDGE
    told_apart = analysis is None or analysis.measurements.subtype_method is not None
    for name, colour, filled in _LUNGS + (_KINDS if told_apart else _INFECTION):
        box = Frame(left, baseline - 13, 22, 14)
        canvas.rectangle(box, colour)
        if not filled:
            canvas.rectangle(Frame(left + 2, baseline - 11, 18, 10), (13, 17, 22))
        canvas.text((left + 30, baseline), name, size=15)
        left += 30 + text_width(name, 15) + 26
    room = canvas.width - _EDGE - left
    words = f"{note}.  {NOTICE}"
    if text_width(words, 14) > room:
        words = fitted(NOTICE, room, 14)
    canvas.text((canvas.width - _EDGE, baseline), words, size=14, colour=MUTED, anchor="rs")
