"""Spine, ribs, breastbone, shoulder blades, collar bones and the upper ends of the raised arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.canvas import Canvas, ellipse
from groundglass.phantom.shapes import Keyed, ribbon, smooth_closed
from groundglass.phantom.thorax import CAVITY, SPINE_Y, THETA, Build, cavity_outline
from groundglass.phantom.tubes import Tubes

CORTEX, MARROW, DISC, CARTILAGE = 620.0, 190.0, 85.0, 95.0
VERTEBRA_MM = 22.5
_FIRST_RIB_Z = 268.0
# z, medial x, y, lateral x, y, thickness: blade of the shoulder blade
_BLADE = Keyed(
    [
        (128, 104, -101, 110, -97, 3),
        (150, 96, -106, 124, -88, 5.5),
        (180, 86, -108, 140, -70, 5.5),
        (205, 80, -104, 148, -50, 6),
        (225, 77, -98, 151, -32, 7),
        (245, 82, -86, 150, -18, 9),
        (260, 100, -70, 146, -14, 9),
    ]
)


def paint_spine(canvas: Canvas) -> None:
    """Vertebral body or disc, canal, arch and processes at the slice's height."""
    z = canvas.z
    y = float(SPINE_Y(z)[0])
    phase = ((z - 257.0) / VERTEBRA_MM) % 1.0
    in_disc = min(phase, 1 - phase) < 0.13
    wide = float(np.interp(z, [0, 270], [20.5, 16.0])) * (1.06 if min(phase, 1 - phase) < 0.25 else 0.97)
    body = _body_outline(wide, 0.82 * wide, y)
    canvas.fill(_body_outline(wide + 4, 0.82 * wide + 3, y), 25, strength=0.7)
    _paint_arch(canvas, y, wide, phase)
    if in_disc:
        canvas.fill(body, DISC)
    else:
        canvas.fill(body, CORTEX * 0.75)
        canvas.fill(_body_outline(wide - 1.9, 0.82 * wide - 1.9, y), MARROW)
    canvas.ellipse((0, y - 0.82 * wide - 7), (9.5, 8), 12)
    canvas.ellipse((0, y - 0.82 * wide - 7), (5.2, 4.2), 40)


def _body_outline(wide: float, deep: float, y: float) -> NDArray[np.float64]:
    right = [(0.75 * wide, y + 0.62 * deep), (wide, y - 0.15 * deep), (0.8 * wide, y - 0.85 * deep)]
    left = [(-x, height) for x, height in reversed(right)]
    return smooth_closed([(0, y + deep), *right, (0, y - 0.78 * deep), *left], 40)


def _paint_arch(canvas: Canvas, y: float, wide: float, phase: float) -> None:
    canal_y = y - 0.82 * wide - 7
    canvas.ellipse((0, canal_y), (14.5, 12.5), CORTEX * 0.7)
    canvas.ellipse((0, canal_y), (11.5, 9.8), FAT_IN_CANAL)
    if 0.15 < phase < 0.45:  # foramen between two pedicles
        for side in (1, -1):
            canvas.fill(ellipse((side * 14, canal_y + 6), (5.5, 4.5)), -40)
    length = 16 + 9 * phase
    tip = canal_y - 12 - length
    canvas.fill(
        ribbon(np.array([(0.0, canal_y - 10), (0, (canal_y + tip) / 2 - 3), (0.6, tip)]), [8, 5, 6.5]), CORTEX * 0.62
    )
    if phase > 0.42:
        for side in (1, -1):
            line = np.array([(side * 12.0, canal_y - 3), (side * 25, canal_y - 9), (side * 36, canal_y - 15)])
            canvas.fill(ribbon(line, [9, 7, 9]), CORTEX * 0.66)
            canvas.fill(ribbon(line, [4, 2.5, 4.5]), MARROW)


FAT_IN_CANAL = -40.0


def paint_sternum(canvas: Canvas) -> None:
    """Handle, body and tip of the breastbone."""
    z = canvas.z
    if not 74 <= z <= 246:
        return
    y = float(CAVITY(z)[1]) + 8.5
    wide = float(np.interp(z, [74, 92, 100, 150, 196, 204, 236, 246], [8, 14, 30, 33, 28, 36, 56, 44]))
    thick = float(np.interp(z, [74, 100, 200, 235, 246], [6, 9, 11, 14, 12]))
    line = np.array([(-wide / 2, y - 0.8), (-wide / 4, y), (wide / 4, y), (wide / 2, y - 0.8)])
    if z < 96 or 199 < z < 203:
        canvas.fill(ribbon(line, thick * 0.9), CARTILAGE)
        return
    taper = np.array([0.45, 1.0, 1.0, 0.45])
    canvas.fill(ribbon(line, thick * taper), CORTEX * 0.6)
    inner = line * np.array([1 - 4.0 / wide, 1])
    canvas.fill(ribbon(inner, (thick - 3.4) * taper), MARROW - 50)


def paint_shoulders(canvas: Canvas) -> None:
    """Shoulder blades and the heads of the raised upper arms."""
    z = canvas.z
    for side, lift in ((1.0, 0.0), (-1.0, 4.0)):
        height = z + lift
        if _BLADE.covers(height):
            _paint_blade(canvas, side, height)
        if 255 <= height <= 285:
            line = np.array([(side * 132.0, -62), (side * 152, -50), (side * 164, -34)])
            canvas.fill(ribbon(line, 11), CORTEX * 0.6)
            canvas.fill(ribbon(line, 6.5), MARROW)
        radius = 25 * np.sqrt(max(0.0, 1 - ((height - 276) / 27) ** 2))
        if height > 282:
            radius = max(radius, 16.0)
        if radius > 2:
            centre = (side * 172, -6.0)
            canvas.ellipse(centre, (radius, radius), CORTEX * 0.8)
            canvas.ellipse(centre, (radius - 1.8, radius - 1.8), MARROW + 60)


def _paint_blade(canvas: Canvas, side: float, z: float) -> None:
    medial_x, medial_y, lateral_x, lateral_y, thick = _BLADE(z)
    share = np.linspace(0, 1, 7)
    bow = 5.0 * np.sin(np.pi * share)
    line = np.stack(
        [
            side * (medial_x + share * (lateral_x - medial_x) + 0.4 * bow),
            medial_y + share * (lateral_y - medial_y) - bow,
        ],
        axis=1,
    )
    widths = thick * np.array([1.0, 0.62, 0.55, 0.55, 0.7, 1.2, 1.7])
    canvas.fill(ribbon(line, widths), CORTEX * 0.72)
    canvas.fill(ribbon(line[4:], np.maximum(widths[4:] - 3.4, 0.6)), MARROW)
    if 205 < z < 256:
        ridge = np.array([line[2], (side * 118.0, -98 + 0.25 * (z - 205)), (side * 137, -92 + 0.55 * (z - 205))])
        canvas.fill(ribbon(ridge, [5, 4, 8]), CORTEX * 0.7)
    if 236 < z < 262:
        canvas.fill(ellipse((side * 146, -14), (9, 14), side * 20), CORTEX * 0.7)
        canvas.fill(ellipse((side * 146, -14), (6.5, 11.5), side * 20), MARROW)


def rib_lines(build: Build) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Centre lines (n, 3) of the 24 ribs and of their cartilages; the left ribs lie a little higher."""
    bone, cartilage = [], []
    wall = _Wall(build)
    for side in (1, -1):
        for number in range(12):
            line, bony = _rib_line(number, side, wall)
            bone.append(line[: bony + 1])
            if bony < len(line) - 2:
                cartilage.append(line[bony:])
    return bone, cartilage


class _Wall:
    """The inside of the rib cage at any height and angle, interpolated between outlines 5 mm apart."""

    def __init__(self, build: Build) -> None:
        self._heights = np.arange(-160.0, 301.0, 5.0)
        self._outlines = np.stack([cavity_outline(float(z), build) for z in self._heights])

    def at(self, z: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions (n, 2) on the wall at heights z (n,) and angles theta (n,)."""
        level = np.clip((z - self._heights[0]) / 5.0, 0, len(self._heights) - 1.001)
        turn = (theta % (2 * np.pi)) / (2 * np.pi) * len(THETA)
        low, first = level.astype(int), turn.astype(int)
        part, share = (level - low)[:, None], (turn - first)[:, None]
        after, first = (first + 1) % len(THETA), first % len(THETA)
        outlines = self._outlines
        below = outlines[low, first] * (1 - share) + outlines[low, after] * share
        above = outlines[low + 1, first] * (1 - share) + outlines[low + 1, after] * share
        return np.asarray(below * (1 - part) + above * part)


def _rib_line(number: int, side: int, wall: _Wall) -> tuple[NDArray[np.float64], int]:
    head_z = _FIRST_RIB_Z - VERTEBRA_MM * number + (0.0 if side > 0 else 2.5)
    drop = float(np.interp(number, [0, 1, 3, 6, 9, 11], [30, 46, 70, 92, 88, 60]))
    last = float(np.interp(number, [0, 4, 6, 7, 9, 10, 11], [66, 74, 76, 62, 30, -15, -35]))
    bony = float(np.interp(number, [0, 2, 4, 6, 8, 9, 11], [55, 58, 54, 44, 26, 22, 0]))
    degrees = np.linspace(-66, last, 46)
    share = (degrees + 66) / 142
    z = head_z - drop * (share**1.15) - 3
    rise = np.clip((degrees - bony) / 40, 0, 1) * np.interp(number, [0, 3, 6, 9], [0, 4, 26, 30])
    z = z + rise
    theta = np.radians(degrees) if side > 0 else np.pi - np.radians(degrees)
    spots = wall.at(z, theta)
    outward = spots * np.array([1.0, 0.7])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    points = np.column_stack([spots + 5.0 * outward, z])
    spine = float(SPINE_Y(head_z)[0])
    neck = np.array(
        [(side * 19.0, spine - 9, head_z), (side * 30, spine - 21, head_z + 2), (side * 40, spine - 29, head_z + 1)]
    )
    return np.concatenate([neck, points]), 3 + int(np.count_nonzero(degrees < bony))


def rib_tubes(build: Build) -> tuple[Tubes, Tubes, Tubes]:
    """Ribs as flat tubes: outer form, marrow, cartilage."""
    bone, cartilage = rib_lines(build)
    outer = Tubes.join([Tubes.along(line, 3.5, 6.0) for line in bone])
    marrow = Tubes.join([Tubes.along(line, 1.9, 4.3) for line in bone])
    gristle = Tubes.join([Tubes.along(line, 4.0, 6.5) for line in cartilage])
    return outer, marrow, gristle


def collar_bones() -> tuple[Tubes, Tubes]:
    """Collar bones as tubes: outer form and marrow."""
    right = np.array([(21.0, 45, 243), (34, 47, 251), (60, 42, 262), (92, 22, 272), (124, 0, 280), (146, -18, 283)])
    left = right * np.array([-1, 1, 1]) + np.array([0, 0, 3.5])
    widths = np.array([9.0, 7, 5.5, 5.5, 6, 7])
    outer = Tubes.join([Tubes.along(line, widths) for line in (right, left)])
    marrow = Tubes.join([Tubes.along(line, widths - 2.3) for line in (right, left)])
    return outer, marrow
