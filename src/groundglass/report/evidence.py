"""One slice, its heat map and both on top of each other, named and with what was said of the input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.inference.cam import Attention
from groundglass.report.attention import GAP, heat_colours, panels
from groundglass.report.drawing import Canvas, fitted
from groundglass.report.palette import MUTED

MARGIN = 12
HEAD = 58
FOOT = 84
BAR = 12
"""Height of the colour scale, pixels."""


def evidence_picture(one: Attention, answer: str) -> NDArray[np.uint8]:
    """The picture of one slice that drove an answer.

    Args:
        one: the slice and its heat map.
        answer: what was said of the scan, or of the picture.

    Returns:
        uint8 RGB (rows, columns, 3): title and probabilities above, captions and colour scale below the three panels.
    """
    shown = panels(one)
    rows, columns = shown.shape[:2]
    canvas = Canvas(columns + 2 * MARGIN, HEAD + rows + FOOT)
    canvas.pixels[HEAD : HEAD + rows, MARGIN : MARGIN + columns] = shown
    canvas.text((MARGIN, 24), fitted(one.title, columns, 18, bold=True), size=18, bold=True)
    canvas.text((MARGIN, 47), fitted(answer, columns, 15), size=15, colour=MUTED)
    width = (columns - 2 * GAP) // 3
    places = [MARGIN + number * (width + GAP) for number in range(3)]
    captions = ("slice", f"evidence for {one.label}", f"both: {_share(one)}")
    for left, words in zip(places, captions, strict=True):
        canvas.text((left, HEAD + rows + 22), fitted(words, width, 15), size=15)
    scale = heat_colours(np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :].repeat(BAR, axis=0))
    top = HEAD + rows + 32
    canvas.pixels[top : top + BAR, places[1] : places[1] + width] = scale
    canvas.text((places[1], top + BAR + 18), "none", size=13, colour=MUTED)
    canvas.text((places[1] + width, top + BAR + 18), "most in this slice", size=13, colour=MUTED, anchor="rs")
    return np.asarray(canvas.picture(), dtype=np.uint8)


def _share(one: Attention) -> str:
    return "no evidence" if one.in_lungs is None else f"{100 * one.in_lungs:.0f} % of the evidence in the lungs"
