"""Drawing on a dark canvas: pictures with outlines, scale bars and text."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from groundglass.report import wording
from groundglass.report.contours import Polygon, polygons
from groundglass.report.fonts import font
from groundglass.report.palette import (
    BACKGROUND,
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    MUTED,
    PANEL,
    RGB,
    RIGHT_LUNG,
    TEXT,
)
from groundglass.report.views import View

LINE = 25
"""Height of the lines of text above and below a picture, in pixels."""

_SUBPIXEL_BITS = 4
_FILL = 0.38


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of the canvas, in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Text:
    place: tuple[int, int]
    words: str
    size: int
    colour: RGB
    bold: bool
    anchor: str
    halo: int


@dataclass(slots=True)
class Canvas:
    """An RGB picture in the making; all text is drawn in one pass at the end.

    Attributes:
        width: in pixels.
        height: in pixels.
    """

    width: int
    height: int
    pixels: NDArray[np.uint8] = field(init=False, repr=False)
    _texts: list[_Text] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        """Start with the background colour."""
        self.pixels = np.full((self.height, self.width, 3), BACKGROUND, dtype=np.uint8)

    def rectangle(self, frame: Frame, colour: RGB) -> None:
        """Fill a rectangle."""
        self.pixels[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width] = colour

    def text(
        self,
        place: tuple[int, int],
        words: str,
        *,
        size: int = 16,
        colour: RGB = TEXT,
        bold: bool = False,
        anchor: str = "ls",
        halo: int = 0,
    ) -> None:
        """Write one line.

        Args:
            place: (x, y) of the anchor.
            words: what to write; characters that cannot be printed are left out.
            size: height of a line in pixels.
            colour: of the letters.
            bold: bold letters.
            anchor: Pillow's two letters: `l`, `m`, `r` across and `t`, `m`, `s` (baseline), `b` down.
            halo: width of a dark seam around the letters, for text on pictures.
        """
        self._texts.append(_Text(place, _printable(words), size, colour, bold, anchor, halo))

    def paste(self, view: View, frame: Frame, *, labels: bool = True) -> Frame:
        """Draw a view as large as fits into a frame, in its true aspect, centred.

        Returns:
            The rectangle that the view fills.
        """
        height, width = view.extent
        scale = min(frame.width / width, frame.height / height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        filled = Frame(frame.left + (frame.width - wide) // 2, frame.top + (frame.height - high) // 2, wide, high)
        tile = _enlarged(view, wide, high)
        if labels:
            draw_labels(tile, view)
        self.pixels[filled.top : filled.top + high, filled.left : filled.left + wide] = tile
        return filled

    def tile(self, view: View, frame: Frame) -> None:
        """Draw a view with a line of text above and below it, orientation letters and a scale bar.

        Args:
            view: what to show.
            frame: room for the picture and both lines.
        """
        self.rectangle(frame, PANEL)
        inner = Frame(frame.left, frame.top + LINE, frame.width, frame.height - 2 * LINE)
        self.rectangle(inner, (0, 0, 0))
        filled = self.paste(view, inner)
        self._letters(view, frame, filled)
        right, top, bottom = frame.left + frame.width - 8, frame.top + 18, frame.top + frame.height - 7
        self.text((frame.left + 8, top), view.title, size=14, bold=True)
        room = frame.width - text_width(view.title, 14, bold=True) - 40
        self.text((right, top), fitted(view.position, room, 13), size=13, anchor="rs")
        if view.index:
            infected = bool(view.percent)
            words = "no lung" if view.percent is None else "no infection"
            words = f"{wording.percent(view.percent)} infected" if infected else words
            self.text(
                (frame.left + 8, bottom), words, size=13, colour=GROUND_GLASS if infected else MUTED, bold=infected
            )
        if view.pixel_mm is not None:
            self._scale_bar(right, bottom, round(filled.width * 50 / view.extent[1]), "5 cm")

    def _scale_bar(self, right: int, bottom: int, length: int, words: str) -> None:
        self.rectangle(Frame(right - length, bottom - 5, length, 2), TEXT)
        for end in (right - length, right - 2):
            self.rectangle(Frame(end, bottom - 9, 2, 10), TEXT)
        self.text((right - length - 7, bottom), words, size=13, anchor="rs")

    def _letters(self, view: View, frame: Frame, filled: Frame) -> None:
        left, right, top, bottom = view.letters
        middle_x, middle_y = filled.left + filled.width // 2, filled.top + filled.height // 2
        self.text((filled.left + 8, middle_y), left, size=17, bold=True, anchor="lm", halo=2)
        self.text((filled.left + filled.width - 8, middle_y), right, size=17, bold=True, anchor="rm", halo=2)
        self.text((middle_x, frame.top + 18), top, size=15, bold=True, anchor="ms")
        self.text((middle_x, frame.top + frame.height - 6), bottom, size=15, bold=True, anchor="ms")

    def picture(self) -> Image.Image:
        """The finished RGB picture."""
        image = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(image)
        for text in self._texts:
            draw.text(
                text.place,
                text.words,
                fill=text.colour,
                font=font(text.size, bold=text.bold),
                anchor=text.anchor,
                stroke_width=text.halo,
                stroke_fill=(0, 0, 0),
            )
        return image


def text_width(words: str, size: int, *, bold: bool = False) -> int:
    """Width of a line in pixels."""
    return int(np.ceil(font(size, bold=bold).getlength(_printable(words))))


def fitted(words: str, width: int, size: int, *, bold: bool = False) -> str:
    """Shorten a line in its middle until it fits a width in pixels."""
    if text_width(words, size, bold=bold) <= width:
        return words
    keep = len(words)
    while keep > 2:
        keep -= 1
        short = words[: (keep + 1) // 2] + "…" + words[len(words) - keep // 2 :]
        if text_width(short, size, bold=bold) <= width:
            return short
    return "…"


def _printable(words: str) -> str:
    return "".join(sign for sign in words if sign.isprintable())


def _enlarged(view: View, width: int, height: int) -> NDArray[np.uint8]:
    shrinks = width * height < view.grey.size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    grey = cv2.resize(np.ascontiguousarray(view.grey), (width, height), interpolation=how)
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))


def draw_labels(tile: NDArray[np.uint8], view: View) -> None:
    """Draw the outlines of a view's lungs and fill its infection.

    Args:
        tile: RGB (rows, columns, 3), drawn into; of any size, covering the same ground as the view.
        view: its labels.
    """
    factor = np.array([tile.shape[1] / view.grey.shape[1], tile.shape[0] / view.grey.shape[0]], dtype=np.float32)
    for labels, value, colour in ((view.lungs, 1, RIGHT_LUNG), (view.lungs, 2, LEFT_LUNG)):
        cv2.polylines(tile, _fixed(polygons(labels == value), factor), True, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    for value, colour in ((1, GROUND_GLASS), (2, CONSOLIDATION)):
        outlines = _fixed(polygons(view.infection == value), factor)
        if not outlines:
            continue
        filled = tile.copy()
        cv2.fillPoly(filled, outlines, colour, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.addWeighted(filled, _FILL, tile, 1.0 - _FILL, 0.0, dst=tile)
        cv2.polylines(tile, outlines, True, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(outlines: list[Polygon], factor: NDArray[np.float32]) -> list[NDArray[np.int32]]:
    """Outlines as the fixed-point numbers of OpenCV, whose pixel centres lie on whole numbers."""
    one = 1 << _SUBPIXEL_BITS
    return [np.rint((outline * factor - 0.5) * one).astype(np.int32) for outline in outlines]
