"""Pictures inside the HTML report: JPEG pixels with the labels as SVG outlines on top."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import cv2
import numpy as np

from groundglass.report import wording
from groundglass.report.contours import CONSOLIDATION, GROUND_GLASS, LEFT, RIGHT, polygons, svg_path
from groundglass.report.solid import Solid
from groundglass.report.views import View

_LARGEST_SIDE = 512
_QUALITY = 78


@dataclass(frozen=True, slots=True)
class Slide:
    """One picture with its overlay, ready for the template.

    Attributes:
        source: the pixels as a data URI.
        alt: what a reader who cannot see it is told.
        columns: width of the overlay's coordinates.
        rows: height of the overlay's coordinates.
        aspect: width divided by height as shown.
        layers: (class name, SVG path) of each label that is present.
        letters: patient directions at the left, right, top, bottom; may be empty.
        title: what it shows.
        position: where it is.
        index: place in the series.
        percent: infected share of the lung shown; None without lung.
        bar_percent: length of 5 cm as a percentage of the width; None where millimetres are unknown.
        level: height of this slice in the coronal and sagittal pictures, 0 (top) to 1; None for those.
        printed: whether it is one of the few that go onto paper.
    """

    source: str
    alt: str
    columns: int
    rows: int
    aspect: float
    layers: tuple[tuple[str, str], ...]
    letters: tuple[str, str, str, str]
    title: str
    position: str
    index: int
    percent: float | None
    bar_percent: float | None
    level: float | None = None
    printed: bool = True


@dataclass(frozen=True, slots=True)
class SolidPicture:
    """A picture of the bodies, ready for the template.

    Attributes:
        source: the pixels as a data URI.
        title: from where they are seen.
        width: in pixels.
        height: in pixels.
    """

    source: str
    title: str
    width: int
    height: int


def solid_picture(solid: Solid) -> SolidPicture:
    """Encode one picture of the bodies."""
    height, width, _ = solid.pixels.shape
    _, encoded = cv2.imencode(".jpg", solid.pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY + 8])
    source = "data:image/jpeg;base64," + b64encode(encoded.tobytes()).decode("ascii")
    return SolidPicture(source, solid.title, width, height)


def slide(view: View, *, level: float | None = None, printed: bool = True) -> Slide:
    """Encode one view.

    Args:
        view: the picture with its labels.
        level: height in the coronal picture, 0 (top) to 1.
        printed: whether it goes onto paper.
    """
    rows, columns = view.grey.shape
    height, width = view.extent
    return Slide(
        source=_jpeg(view),
        alt=_description(view),
        columns=columns,
        rows=rows,
        aspect=width / height,
        layers=tuple(_layers(view)),
        letters=view.letters,
        title=view.title,
        position=view.position,
        index=view.index,
        percent=view.percent,
        bar_percent=None if view.pixel_mm is None else 5000.0 / width,
        level=level,
        printed=printed,
    )


def _layers(view: View) -> list[tuple[str, str]]:
    shown = (
        (RIGHT, view.lungs, 1),
        (LEFT, view.lungs, 2),
        (GROUND_GLASS, view.infection, 1),
        (CONSOLIDATION, view.infection, 2),
    )
    paths = [(layer.key, svg_path(polygons(labels == value))) for layer, labels, value in shown]
    return [(key, path) for key, path in paths if path]


def _jpeg(view: View) -> str:
    """Pixels for a screen: no larger than needed, squeezed pixels left as they are (the page stretches them)."""
    factor = min(1.0, _LARGEST_SIDE / max(view.grey.shape))
    grey = np.ascontiguousarray(view.grey)
    if factor < 1.0:
        grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + b64encode(encoded.tobytes()).decode("ascii")


def _description(view: View) -> str:
    place = f"{view.title}, {view.position}" if view.position else view.title
    if view.percent is None:
        return f"{place}. {'Lungs and infection outlined.' if view.lungs.any() else 'No lung in this picture.'}"
    return f"{place}. Infected share of the lung in it: {wording.percent(view.percent)}."
