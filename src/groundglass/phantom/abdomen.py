"""Liver, stomach, spleen, kidneys and bowel below the diaphragm."""

from __future__ import annotations

import numpy as np

from groundglass.phantom.canvas import Canvas, Coverage, ellipse
from groundglass.phantom.shapes import Keyed, offset, ribbon, smooth_closed
from groundglass.phantom.thorax import SPINE_Y, Build, cavity_outline

FAT, LIVER, SPLEEN, KIDNEY, BLOOD, GAS = -104.0, 60.0, 52.0, 34.0, 42.0, -985.0
# z, middle x, y, half axes of the stomach
_STOMACH = Keyed(
    [
        (-70, -40, 40, 20, 14),
        (-30, -46, 38, 40, 30),
        (10, -52, 30, 46, 42),
        (45, -58, 16, 44, 44),
        (66, -64, 4, 34, 34),
        (80, -66, 0, 14, 14),
    ]
)
_GAS_LEVEL_Y = 46.0
_SPLEEN = Keyed(
    [
        (-45, -104, -36, 6, 8),
        (-25, -106, -40, 14, 24),
        (15, -108, -42, 17, 36),
        (50, -108, -38, 14, 32),
        (72, -104, -34, 6, 14),
    ]
)


def paint_abdomen(canvas: Canvas, build: Build, below: Coverage) -> None:
    """Paint the organs of the abdomen.

    Args:
        canvas: the slice.
        build: the patient.
        below: (ny, nx) 0..1, how far a pixel lies under the diaphragm.
    """
    z = canvas.z
    inside = canvas.coverage(cavity_outline(z, build))
    if inside is None or z > 112:
        return
    box, cover = inside
    clip = np.zeros_like(below)
    clip[box] = cover * below[box]
    canvas.blend(clip, FAT)
    _paint_liver(canvas, build, clip)
    _paint_stomach(canvas, clip)
    if _SPLEEN.covers(z):
        x, y, wide, deep = _SPLEEN(z)
        outline = smooth_closed(
            [
                (x - wide, y),
                (x - 0.2 * wide, y - deep),
                (x + wide, y - 0.5 * deep),
                (x + 0.4 * wide, y + 0.1 * deep),
                (x + 0.5 * wide, y + 0.8 * deep),
                (x - 0.5 * wide, y + deep),
            ]
        )
        canvas.fill(outline, SPLEEN, clip=clip)
    _paint_back_wall(canvas, clip)
    _paint_bowel(canvas, clip)


def _paint_liver(canvas: Canvas, build: Build, clip: Coverage) -> None:
    z = canvas.z
    if z < -135:
        return
    shrink = float(np.interp(z, [-135, -60, 0], [0.25, 0.75, 1]))
    left_edge = float(np.interp(z, [-60, 0, 40, 80, 100], [40, -8, -42, -46, 0]))
    front = float(np.interp(z, [-60, 60], [78, 90]))
    control = [
        (146 * shrink, 0),
        (128 * shrink, 62 * shrink),
        (70, front),
        (left_edge + 20, front - 10),
        (left_edge, front - 30),
        (left_edge + 26, 22),
        (30, -12),
        (44, -40),
        (70, -82),
        (118 * shrink, -70),
    ]
    wall = offset(smooth_closed(control, 72), -2.0)
    canvas.fill(wall, LIVER, clip=clip)
    if z < 70:  # veins, darker than the liver without contrast
        for shift, radius in ((0.0, 4.0), (26.0, 3.2), (47.0, 2.6)):
            x = 48 + shift * np.cos(z / 37) + 8
            y = 2 + shift * np.sin(z / 31)
            canvas.fill(ellipse((x, y), (radius, radius * 1.6), float(z * 2)), LIVER - 17, clip=clip)
    if -60 < z < 15:
        canvas.fill(ellipse((58, 54), (13, 17), 20), 8, clip=clip)  # gall bladder


def _paint_stomach(canvas: Canvas, clip: Coverage) -> None:
    z = canvas.z
    if not _STOMACH.covers(z):
        return
    x, y, wide, deep = _STOMACH(z)
    outline = ellipse((x, y), (wide, deep), 18)
    canvas.fill(outline, 40, clip=clip)
    inner = offset(outline, -3.5)
    canvas.fill(inner, 22, clip=clip)
    bubble = canvas.coverage(inner)
    if bubble is not None:
        box, cover = bubble
        rows = canvas.grid.axis(1)[box[0]][:, None]
        # Gas floats to the front of a patient who lies on the back, above one level all along the stomach.
        gas = np.clip((rows - _GAS_LEVEL_Y) / canvas.grid.spacing[1] + 0.5, 0, 1) * cover * clip[box]
        target = canvas.hu[box]
        target += (np.float32(GAS) - target) * gas


def _paint_back_wall(canvas: Canvas, clip: Coverage) -> None:
    z = canvas.z
    y = float(SPINE_Y(z)[0])
    if z < 45:
        for side in (1, -1):  # pillars of the diaphragm
            canvas.fill(ribbon(np.array([(side * 6.0, y + 38), (side * 16, y + 26), (side * 25, y + 4)]), 6), 48)
    for side, middle in ((1, -55), (-1, -38)):
        share = 1 - ((z - middle) / 56) ** 2
        if share > 0:
            size = float(np.sqrt(share))
            canvas.fill(ellipse((side * 58, y + 8), (29 * size, 25 * size), side * 35), KIDNEY, clip=clip)
            canvas.fill(ellipse((side * 52, y + 12), (13 * size, 8 * size), side * 35), FAT + 20, clip=clip)
    if z < 8:
        for side in (1, -1):
            canvas.fill(ellipse((side * 34, y - 2), (14, 18)), 52, clip=clip)
    canvas.fill(ellipse((-4, y + 29), (10.5, 10.5)), BLOOD)
    canvas.fill(ellipse((22, y + 34), (12.5, 9)), BLOOD - 2)


def _paint_bowel(canvas: Canvas, clip: Coverage) -> None:
    z = canvas.z
    loops = (
        (-98, 46, 40, 19, 0.5),
        (-30, 72, -25, 22, 0.4),
        (36, 66, -70, 22, 0.2),
        (-70, 58, -80, 20, 0.6),
        (88, 34, -95, 24, 0.5),
        (10, 40, -110, 18, 0.1),
        (-60, 10, -120, 20, 0.3),
        (60, 10, -150, 22, 0.6),
        (-95, 10, -130, 22, 0.6),
        (0, 60, -170, 22, 0.3),
        (-50, 45, -160, 22, 0.0),
        (48, 52, -185, 24, 0.4),
        (-84, 34, -195, 23, 0.5),
        (20, 20, -200, 20, 0.0),
        (-24, 46, -215, 22, 0.3),
        (90, 16, -215, 25, 0.5),
        (30, 66, -235, 20, 0.2),
        (-70, 56, -245, 22, 0.0),
    )
    for x, y, middle, radius, gas in loops:
        share = 1 - ((z - middle) / 44) ** 2
        if share <= 0:
            continue
        size = radius * float(np.sqrt(share))
        drift = 6 * np.sin((z - middle) / 11)
        canvas.fill(ellipse((x + drift, y), (size * 1.15, size)), 38, clip=clip)
        canvas.fill(ellipse((x + drift, y), (max(size * 1.15 - 2.5, 0.5), max(size - 2.5, 0.5))), 5, clip=clip)
        canvas.fill(ellipse((x + drift, y + 0.35 * size), (size * gas * 1.3, size * gas)), GAS, clip=clip)
