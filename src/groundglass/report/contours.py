"""Outlines of labels as smooth polygons, for drawing into pixels and for SVG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float32]

_FINER = 3
_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class Layer:
    """One label value that is shown.

    Attributes:
        key: short name for CSS classes.
        name: what the legend says.
    """

    key: str
    name: str


RIGHT = Layer("right-lung", "Right lung")
LEFT = Layer("left-lung", "Left lung")
GROUND_GLASS = Layer("ground-glass", "Ground-glass")
CONSOLIDATION = Layer("consolidation", "Consolidation")


def polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Outlines of a 2D mask, halfway between inside and outside as in marching squares.

    Args:
        mask: (rows, columns).

    Returns:
        Closed outlines (n, 2) of (x, y), outer ones and holes alike (fill by the even-odd rule), in pixels: the
        first pixel spans 0..1.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if rows.size == 0:
        return []
    top, left = int(rows[0]), int(columns[0])
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8) * 255, 1)
    fine = cv2.resize(part, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours((fine > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    origin = np.array([left - 1, top - 1], dtype=np.float32)
    outlines = []
    for contour in found:
        short = cv2.approxPolyDP(contour, _TOLERANCE * _FINER, closed=True).reshape(-1, 2).astype(np.float32)
        if len(short) >= 3:
            outlines.append((short + 0.5) / _FINER + origin)
    return outlines


def svg_path(outlines: list[Polygon]) -> str:
    """Outlines as the `d` attribute of an SVG path, with one decimal."""
    parts = []
    for outline in outlines:
        tenths = np.rint(outline * 10).astype(int)
        moves = np.diff(tenths, axis=0)
        steps = moves[moves.any(axis=1)].tolist()
        start = f"M{_tenth(int(tenths[0, 0]))} {_tenth(int(tenths[0, 1]))}"
        parts.append(start + "l" + " ".join(f"{_tenth(x)} {_tenth(y)}" for x, y in steps) + "z")
    return "".join(parts)


@cache
def _tenth(value: int) -> str:
    """A number of tenths with at most one decimal; outlines of a report take a few hundred different steps."""
    whole, part = divmod(abs(value), 10)
    digits = f"{whole}.{part}" if part else str(whole)
    return f"-{digits}" if value < 0 else digits
