"""Heat maps of the classifier on the slices that drove its answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.prepare import resize
from groundglass.inference.cam import Attention
from groundglass.report.drawing import Canvas, fitted
from groundglass.report.figures import png_bytes
from groundglass.report.palette import BACKGROUND

SIDE = 384
"""Longer side of each picture, pixels."""
QUALITY = 80
STRONGEST = 0.62
"""Opacity of the heat where it is greatest."""
GAP = 8
PER_ROW = 3
HEAD = 44
"""Height of the line of text above a pair, pixels."""
LETTERS = 27

RGBImage = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AttentionPicture:
    """A slice beside the same slice with its heat map, ready for the template.

    Attributes:
        source: the pixels as a data URI.
        title: which slice it is.
        width: in pixels.
        height: in pixels.
        label: class that the heat speaks for.
        percent: share of the heat inside the lungs; None where there is no heat.
    """

    source: str
    title: str
    width: int
    height: int
    label: str
    percent: float | None


def heat_colours(heat: NDArray[np.float32]) -> RGBImage:
    """A heat map (rows, columns), 0..1, in colour: dark blue for little, yellow and red for much."""
    levels = np.rint(255.0 * np.clip(heat, 0.0, 1.0)).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[:, :, ::-1], dtype=np.uint8)


def overlay(grey: NDArray[np.uint8], heat: NDArray[np.float32]) -> RGBImage:
    """A slice with its heat map; the less heat, the less colour."""
    opacity = (STRONGEST * np.sqrt(np.clip(heat, 0.0, 1.0)))[:, :, None]
    mixed = (1.0 - opacity) * grey[:, :, None] + opacity * heat_colours(heat)
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def panels(one: Attention, *, with_heat: bool = True) -> RGBImage:
    """Slice, heat map and overlay side by side.

    Args:
        one: the slice and its heat map.
        with_heat: show the heat map by itself, in the middle.

    Returns:
        uint8 RGB (rows, columns, 3).
    """
    factor = SIDE / max(one.grey.shape)
    rows, columns = (max(1, round(side * factor)) for side in one.grey.shape)
    grey = np.asarray(resize(one.grey, rows, columns), np.uint8)
    heat = np.asarray(resize(one.heat, rows, columns), np.float32)
    parts = [np.repeat(grey[:, :, None], 3, axis=2), heat_colours(heat), overlay(grey, heat)]
    gap = np.full((rows, GAP, 3), BACKGROUND, np.uint8)
    chosen = parts if with_heat else [parts[0], parts[2]]
    joined = [piece for part in chosen for piece in (gap, part)][1:]
    return np.concatenate(joined, axis=1)


def attention_sheet(attention: Sequence[Attention]) -> bytes | None:
    """`attention.png`: the driving slices, each beside its heat map and named; None where nothing was classified."""
    if not attention:
        return None
    pairs = [panels(one, with_heat=False) for one in attention]
    wide, high = max(pair.shape[1] for pair in pairs), max(pair.shape[0] for pair in pairs)
    columns = min(PER_ROW, len(pairs))
    step = (wide + 3 * GAP, high + HEAD + 3 * GAP)
    canvas = Canvas(GAP + columns * step[0], GAP + -(-len(pairs) // columns) * step[1])
    for number, (one, pair) in enumerate(zip(attention, pairs, strict=True)):
        left, top = GAP + number % columns * step[0], GAP + number // columns * step[1]
        foot, half = top + HEAD - 12, pair.shape[1] // 2
        canvas.text((left, foot), fitted(one.title, half - GAP, LETTERS, bold=True), size=LETTERS, bold=True)
        canvas.text((left + half + GAP, foot), fitted(_said(one), half - GAP, LETTERS), size=LETTERS)
        canvas.pixels[top + HEAD : top + HEAD + pair.shape[0], left : left + pair.shape[1]] = pair
    return png_bytes(canvas.picture())


def _said(one: Attention) -> str:
    return "no evidence" if one.in_lungs is None else f"{100 * one.in_lungs:.0f} % of it in the lungs"


def attention_pictures(attention: Sequence[Attention]) -> tuple[AttentionPicture, ...]:
    """The driving slices for the report."""
    pictures = []
    for one in attention:
        pixels = panels(one, with_heat=False)
        _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        source = "data:image/jpeg;base64," + b64encode(encoded.tobytes()).decode("ascii")
        percent = None if one.in_lungs is None else 100.0 * one.in_lungs
        pictures.append(AttentionPicture(source, one.title, pixels.shape[1], pixels.shape[0], one.label, percent))
    return tuple(pictures)
