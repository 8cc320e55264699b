"""Heart, great vessels, gullet and the fat around them, painted slice by slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from groundglass.phantom.canvas import Canvas, ellipse
from groundglass.phantom.shapes import Keyed, ribbon, smooth_closed
from groundglass.phantom.thorax import CAVITY, SPINE_Y, Build

FAT, BLOOD, MUSCLE, NODE = -98.0, 42.0, 50.0, 38.0

# Border of the mediastinum towards each lung: z, then the distance from the midline in millimetres at six stations
# evenly spaced from the middle of the vertebra to the breastbone.
_RIGHT_BORDER = Keyed(
    [
        (275, 20, 22, 26, 34, 48, 70),
        (258, 20, 20, 24, 28, 34, 52),
        (240, 20, 17, 21, 25, 28, 34),
        (222, 20, 13, 20, 26, 20, 12),
        (205, 19, 9, 20, 25, 13, 2.5),
        (188, 18, 8, 24, 25, 9, 1.5),
        (168, 18, 9, 31, 27, 9, 1.5),
        (140, 18, 8, 26, 36, 20, 4),
        (110, 18, 9, 25, 34, 26, 14),
        (85, 18, 12, 27, 33, 36, 22),
        (50, 18, 14, 28, 34, 42, 26),
    ]
)
_LEFT_BORDER = Keyed(
    [
        (275, 20, 22, 26, 32, 46, 66),
        (258, 20, 22, 24, 26, 32, 50),
        (240, 20, 22, 24, 24, 26, 32),
        (222, 20, 23, 26, 25, 15, 8),
        (205, 22, 30, 32, 23, 8, 0.5),
        (188, 26, 29, 27, 20, 6, 0),
        (168, 27, 29, 33, 32, 12, 0.5),
        (140, 27, 27, 36, 47, 34, 6),
        (110, 26, 24, 36, 57, 56, 24),
        (85, 25, 21, 30, 56, 60, 30),
        (50, 24, 20, 26, 50, 58, 36),
    ]
)
# z, middle x, y, half axes, turn: the heart with its sac
_HEART = Keyed(
    [
        (62, -24, 48, 44, 24, 14),
        (75, -23, 45, 54, 35, 18),
        (92, -20, 42, 59, 43, 24),
        (112, -17, 39, 58, 46, 28),
        (132, -12, 35, 53, 46, 30),
        (148, -6, 32, 46, 42, 25),
        (160, -2, 30, 38, 36, 15),
        (170, 0, 26, 30, 26, 0),
    ]
)
_DESCENDING_AORTA = Keyed(
    [
        (-260, -2, -22, 9),
        (-60, -4, -26, 10),
        (0, -6, -30, 10.5),
        (60, -12, -34, 11),
        (110, -18, -36, 11.5),
        (170, -20, -34, 12),
        (206, -19, -27, 12.5),
    ]
)
_ASCENDING_AORTA = Keyed([(140, 2, 24, 13.5), (160, 10, 26, 15), (185, 13, 22, 15), (206, 8, 18, 13.5)])
_GULLET = Keyed(
    [
        (20, -10, -10, 7, 6),
        (60, -10, -19, 8, 5.5),
        (120, -5, -24, 8, 5),
        (170, -5, -26, 8, 5),
        (205, -7, -25, 7.5, 5),
        (250, -6, -15, 7.5, 5),
        (300, -4, 0, 7.5, 5.5),
    ]
)
_VENA_CAVA = Keyed([(150, 28, 16, 8.5), (185, 26, 16, 9), (214, 23, 14, 8.5)])
_NECK_VESSELS = (
    # z, x, y, radius
    Keyed([(208, 11, 14, 6.5), (245, 22, 10, 5.5), (300, 34, 14, 4.5)]),
    Keyed([(208, -9, 8, 4.5), (245, -16, 8, 4), (300, -31, 15, 4)]),
    Keyed([(208, -19, -6, 5.5), (240, -20, 0, 5), (262, -27, 13, 5), (300, -58, 16, 4.5)]),
    Keyed([(214, 24, 19, 7.5), (245, 28, 19, 6), (300, 44, 21, 6.5)]),
    Keyed([(221, -24, 22, 6.5), (245, -27, 19, 6), (300, -42, 22, 5)]),
)


def mediastinum_outline(z: float) -> NDArray[np.float64]:
    """Outline (n, 2) of the mediastinum with the fat around its organs."""
    back, front = float(SPINE_Y(z)[0]), float(CAVITY(z)[1]) + 6
    stations = np.linspace(back, front, 6)
    y = np.linspace(back, front, 40)
    right = PchipInterpolator(stations, _RIGHT_BORDER(z))(y)
    left = PchipInterpolator(stations, _LEFT_BORDER(z))(y)
    return np.concatenate([np.stack([right, y], axis=1), np.stack([-left, y], axis=1)[::-1]])


def lung_side_boundary(z: float, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each y, the x between the right and the left lung: the middle of the mediastinum."""
    stations = np.linspace(float(SPINE_Y(z)[0]), float(CAVITY(z)[1]) + 6, 6)
    middle = (_RIGHT_BORDER(z) - _LEFT_BORDER(z)) / 2
    return np.interp(y, stations, middle).astype(np.float32)


def paint_mediastinum(canvas: Canvas, build: Build) -> None:
    """Paint everything between the lungs at the slice's height."""
    z = canvas.z
    if z < -15:
        return
    canvas.fill(mediastinum_outline(z), FAT)
    _paint_heart(canvas, build)
    _paint_lung_roots(canvas)
    _paint_great_vessels(canvas)
    x, y, wide, deep = _GULLET(z)
    canvas.ellipse((x, y), (wide, deep), MUSCLE - 15)
    if np.sin(z / 17) > 0.3:
        canvas.ellipse((x + 1, y), (2.4, 1.3), -350)
    _paint_nodes_and_strands(canvas)


def _paint_heart(canvas: Canvas, build: Build) -> None:
    z = canvas.z
    if not _HEART.covers(z):
        return
    x, y, wide, deep, turn = _HEART(z)
    wide, deep = wide * build.heart, deep * build.heart
    # The sac lies close to the muscle at the back and on the left; fat parts them in front and on the right.
    canvas.ellipse((x + 2.5, y + 2.5), (wide + 2.5, deep + 2.5), FAT, -turn)
    canvas.ellipse((x + 1.2, y + 1.2), (wide + 1.6, deep + 1.6), 15, -turn)
    canvas.ellipse((x + 1.0, y + 1.0), (wide + 0.6, deep + 0.6), FAT + 15, -turn)
    canvas.ellipse((x, y), (wide, deep), MUSCLE - 3, -turn)
    if 78 < z < 158:
        size = np.sqrt(max(0.0, 1 - ((z - 118) / 42) ** 2))
        canvas.ellipse((x - 0.34 * wide, y - 0.08 * deep), (0.40 * wide * size, 0.48 * deep * size), BLOOD - 4, -turn)
        canvas.ellipse((x + 0.30 * wide, y + 0.34 * deep), (0.42 * wide * size, 0.38 * deep * size), BLOOD - 4, -turn)
        groove = x + 0.62 * wide * np.cos(np.radians(-62)), y + 0.95 * deep
        canvas.ellipse(groove, (9 * size, 6 * size), FAT + 10, 35)
        canvas.ellipse((groove[0] - 1, groove[1] - 1), (2, 2), BLOOD)
        right_groove = x + 0.86 * wide, y + 0.46 * deep
        canvas.ellipse(right_groove, (5 * size, 9 * size), FAT + 10, -25)
        canvas.ellipse(right_groove, (1.8, 1.8), BLOOD)


def _paint_lung_roots(canvas: Canvas) -> None:
    """Soft tissue around the large branches where they enter the lungs; not counted as lung."""
    z = canvas.z
    for x, y, middle, height, wide, deep in ((40, -10, 160, 26, 16, 14), (-41, -14, 166, 24, 15, 14)):
        share = 1 - ((z - middle) / height) ** 2
        if share > 0:
            size = np.sqrt(share)
            outline = ellipse((x, y), (wide * size, deep * size), 20.0 if x > 0 else -20.0)
            canvas.fill(outline, FAT + 30)


def _paint_great_vessels(canvas: Canvas) -> None:
    z = canvas.z
    if z < 208:
        x, y, radius = _DESCENDING_AORTA(z)
        canvas.ellipse((x, y), (radius, radius), BLOOD)
    if z < 60:
        return
    if 150 <= z <= 206:
        x, y, radius = _ASCENDING_AORTA(z)
        canvas.ellipse((x, y), (radius, radius * 0.97), BLOOD)
    if 60 <= z < 150:
        canvas.ellipse(
            (33 - 0.06 * (z - 60), 4 - 0.05 * (z - 60)), (11, 9.5), BLOOD - 2
        )  # lower vena cava, right atrium
    if _VENA_CAVA.covers(z, 4):
        x, y, radius = _VENA_CAVA(z)
        canvas.ellipse((x, y), (radius, radius * 0.85), BLOOD)
    _paint_arch(canvas)
    _paint_pulmonary_vessels(canvas)
    for vessel in _NECK_VESSELS:
        if vessel.covers(z):
            x, y, radius = vessel(z)
            canvas.ellipse((x, y), (radius, radius * 0.92), BLOOD + 2)
    if 60 < z < 196:
        canvas.ellipse((9, -32), (3.6, 3.4), BLOOD)  # azygos vein
    if 215 <= z <= 224:
        canvas.fill(ribbon(np.array([(24.0, 20), (10, 26), (-8, 27), (-24, 22)]), 9), BLOOD)


def _paint_arch(canvas: Canvas) -> None:
    z = canvas.z
    half = 13.5 * np.sqrt(max(0.0, 1 - ((z - 206) / 14.5) ** 2))
    if half > 1:
        line = np.array([(9.0, 19.0), (3, 9), (-6, -4), (-14, -16), (-19, -27)])
        canvas.fill(ribbon(line, 2 * half * np.array([0.85, 1, 1, 1, 0.85])), BLOOD)
        canvas.ellipse((9, 19), (half, half), BLOOD)
        canvas.ellipse((-19, -27), (half * 0.93, half * 0.93), BLOOD)
    if 186 <= z <= 196:
        canvas.fill(ribbon(np.array([(9.0, -32), (16, -24), (21, -8), (25, 12)]), 6.5), BLOOD)  # arch of the azygos


def _paint_pulmonary_vessels(canvas: Canvas) -> None:
    z = canvas.z
    if 148 <= z <= 184:
        fade = np.sqrt(max(0.05, 1 - ((z - 166) / 19) ** 2))
        canvas.ellipse((-20, 31), (14 * fade, 15 * fade), BLOOD)
    half = 10.5 * np.sqrt(max(0.0, 1 - ((z - 172) / 11) ** 2))
    if half > 1:  # right pulmonary artery behind the ascending aorta
        canvas.fill(ribbon(np.array([(-16.0, 20), (-2, 6), (16, 0), (34, -3), (48, -6)]), 2 * half), BLOOD)
    half = 10.0 * np.sqrt(max(0.0, 1 - ((z - 180) / 11) ** 2))
    if half > 1:
        canvas.fill(ribbon(np.array([(-20.0, 26), (-27, 10), (-36, -4), (-44, -16)]), 2 * half), BLOOD)
    half = 15 * np.sqrt(max(0.0, 1 - ((z - 143) / 17) ** 2))
    if half > 1:  # left atrium with the veins
        canvas.ellipse((-1, -1), (30 * half / 15, half), BLOOD - 2)
        if abs(z - 146) < 7:
            canvas.fill(ribbon(np.array([(20.0, 0), (36, -3), (50, -4)]), 10), BLOOD)
            canvas.fill(ribbon(np.array([(-20.0, -4), (-36, -9), (-50, -12)]), 9), BLOOD)


def _paint_nodes_and_strands(canvas: Canvas) -> None:
    """Small lymph nodes and strands, so that the fat is not empty."""
    z = canvas.z
    for x, y, middle, radius in (
        (14, 2, 198, 3.6),
        (-14, 4, 190, 3.2),
        (2, -17, 172, 5.0),
        (-26, 18, 196, 2.8),
        (17, 8, 207, 3),
    ):
        size = radius**2 - (0.7 * (z - middle)) ** 2
        if size > 0:
            canvas.ellipse((x, y), (np.sqrt(size) * 1.25, np.sqrt(size)), NODE, 30)
    if 165 < z < 222:  # remains of the thymus between breastbone and great vessels
        front = float(CAVITY(z)[1])
        strength = 0.35 * np.exp(-(((z - 195) / 22) ** 2))
        outline = smooth_closed(
            [(9, front - 26), (2, front - 8), (-8, front - 24), (-3, front - 34), (4, front - 33)], 24
        )
        canvas.fill(outline, 20, strength=float(strength))
    if z > 255:  # thyroid beside the windpipe
        size = np.sqrt(max(0.0, 1 - ((z - 285) / 26) ** 2))
        for side in (1, -1):
            canvas.ellipse((side * 16, 12 + 0.3 * (z - 270)), (7.5 * size, 10 * size), 98, side * 15)
