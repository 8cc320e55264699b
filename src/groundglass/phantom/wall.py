"""Table, skin, fat and muscle: everything outside the rib cage except the bones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.canvas import Canvas, ellipse
from groundglass.phantom.shapes import offset, ribbon, smooth_closed
from groundglass.phantom.thorax import SKIN, SPINE_Y, THETA, Build, cavity_outline, fat_inset, skin_outline

AIR, FAT, MUSCLE, SKIN_HU = -1000.0, -102.0, 56.0, 5.0


def paint_table(canvas: Canvas) -> None:
    """A curved carbon table under the patient."""
    x = np.linspace(-260, 260, 41)
    for depth, thick, hu in ((-137.0, 4.0, -560.0), (-154.0, 3.0, -420.0)):
        line = np.stack([x, depth + 0.00055 * x**2], axis=1)
        canvas.fill(ribbon(line, thick), hu)
    mattress = np.stack([x[6:-6], -128.5 + 0.0004 * x[6:-6] ** 2], axis=1)
    canvas.fill(ribbon(mattress, 12), -955)


def paint_body(canvas: Canvas, build: Build) -> None:
    """Skin, fat, muscles with the fat between them, and the inner chest wall."""
    z = canvas.z
    skin = skin_outline(z, build)
    canvas.fill(skin, SKIN_HU)
    canvas.fill(offset(skin, -1.8), FAT)
    canvas.fill(offset(skin, -fat_inset(z, build)), MUSCLE)
    _paint_fat_planes(canvas, build)
    if z > 225:
        _paint_neck_fat(canvas)
    wall = cavity_outline(z, build)
    if z < 285:
        canvas.fill(offset(wall, 10.5), FAT + 35, strength=0.75)
        canvas.fill(offset(wall, 9.0), MUSCLE - 6)
        canvas.fill(offset(wall, 1.6), FAT + 60, strength=0.8)


def _arc(outline: NDArray[np.float64], first: float, last: float) -> NDArray[np.float64]:
    """Part of an outline between two angles in degrees."""
    degrees = np.degrees(THETA)
    degrees = np.where(degrees > 180, degrees - 360, degrees)
    chosen = np.flatnonzero((degrees >= first) & (degrees <= last))
    return np.asarray(outline[chosen[np.argsort(degrees[chosen])]])


def _mirrored(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(line * np.array([-1.0, 1.0]))


def _paint_fat_planes(canvas: Canvas, build: Build) -> None:
    z = canvas.z
    outline = cavity_outline(z, build)
    if 20 < z < 245:
        share = float(np.interp(z, [20, 60, 200, 245], [0.4, 1, 1, 0.5]))
        for side in (1, -1):
            back = _arc(offset(outline, 15), -64, -8)
            front = _arc(offset(outline, 13), 32, 72)
            for line, thick in ((back, 2.6), (front, 3.0)):
                if z > 130 or line is back:
                    canvas.fill(ribbon(line if side > 0 else _mirrored(line), thick), FAT + 22, strength=share)
    if 165 < z < 262:  # armpits
        size = float(np.sqrt(max(0.0, 1 - ((z - 218) / 46) ** 2)))
        for side in (1, -1):
            middle = (side * (float(np.abs(outline[:, 0]).max()) + 27), 2.0)
            canvas.fill(ellipse(middle, (13 * size, 36 * size), -side * 14.0), FAT)
            for step, radius in ((-12, 3.2), (2, 4.6), (9, 3.8), (20, 2.4)):
                canvas.ellipse((middle[0] + side * step / 4, step + 3), (radius * size, radius * size), 40)


def _paint_neck_fat(canvas: Canvas) -> None:
    """Fat around the vessels above the breastbone and between the shoulder muscles."""
    z = canvas.z
    share = float(np.interp(z, [225, 250, 290], [0.2, 1, 1]))
    front = float(SKIN(z)[1])
    canvas.fill(ellipse((0, 12), (44, 0.36 * front + 6)), FAT + 25, strength=0.8 * share)
    for side in (1, -1):
        canvas.fill(ellipse((side * 68, 14), (32 * share, 15), side * -14.0), FAT + 8, strength=share)
        canvas.fill(ellipse((side * 96, -40), (26 * share, 6), side * 32.0), FAT + 15, strength=share)
        canvas.fill(ellipse((side * 62, -66), (34 * share, 3.2), side * 12.0), FAT + 15, strength=share)
        canvas.fill(ellipse((side * 140, 26), (24 * share, 4), side * -40.0), FAT + 15, strength=share)
        canvas.fill(ellipse((side * 30, 32), (10, 7 * share), side * -30.0), MUSCLE, strength=share)
        canvas.fill(ellipse((side * 40, -18), (11, 12 * share), 0.0), MUSCLE, strength=share)
        canvas.fill(ellipse((side * 62, 10), (3.6, 3.2)), 45, strength=share)


def _paint_back_muscles(canvas: Canvas) -> None:
    """The long muscles on both sides of the spine with the fat that outlines them."""
    z = canvas.z
    y = float(SPINE_Y(z)[0]) - 38
    for side in (1, -1):
        control = [(6, y + 8), (24, y + 9), (44, y + 2), (46, y - 10), (26, y - 17), (6, y - 16)]
        outline = smooth_closed([(side * px, py) for px, py in control], 32)
        canvas.fill(offset(outline if side > 0 else outline[::-1], 1.6), FAT + 30)
        canvas.fill(outline, MUSCLE + 3)
        canvas.fill(ribbon(np.array([(side * 22.0, y + 7), (side * 24, y - 14)]), 1.2), FAT + 40)


def paint_beside_spine(canvas: Canvas, build: Build) -> None:
    """Muscle between the vertebra and the necks of the ribs, which the lungs curve around; no lung lies behind it."""
    z = canvas.z
    if z > 285:
        return
    y = float(SPINE_Y(z)[0])
    back = float(cavity_outline(z, build)[:, 1].min())
    reach = float(np.interp(z, [0, 120, 230, 270], [52, 56, 50, 40]))
    side = [(19, y + 1), (23, y - 9), (31, y - 18), (42, y - 26), (reach, back + 3), (reach + 5, back - 6)]
    outline = np.array([(0.0, y), *side, (0.0, back - 8)])
    for mirror in (1.0, -1.0):
        points = outline * np.array([mirror, 1.0])
        canvas.fill(points, FAT + 40)
        canvas.fill(points - np.array([mirror * 1.5, 1.6]), MUSCLE)
    _paint_back_muscles(canvas)
