"""Actual against predicted: one picture per volume, of its slice with the most of the structure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.cases import Image, Planes
from groundglass.io.write import atomic_write_bytes
from groundglass.report.palette import RGB

TILE = 288
GAP = 6
DIVIDER = 110
FOUND: RGB = (72, 211, 160)
MISSED: RGB = (86, 156, 255)
WRONG: RGB = (240, 96, 48)
TRUTH: RGB = (245, 216, 60)
"""Colours of the panels: found, missed, wrongly called, and an outline; they stay apart for red-green blindness."""
OPACITY = 0.55
RGBImage = NDArray[np.uint8]


def widest_slice(truth: Planes, predicted: Planes) -> int:
    """The slice with the most of the structure in truth, or in the prediction where the truth is empty."""
    areas = [int(np.count_nonzero(plane)) for plane in truth]
    if not any(areas):
        areas = [int(np.count_nonzero(plane)) for plane in predicted]
    return int(np.argmax(areas))


def panel(image: Image | None, truth: Planes, predicted: Planes, index: int) -> RGBImage:
    """Image, truth, prediction and their agreement side by side.

    Args:
        image: the image of the case; None leaves the ground black.
        truth: true masks.
        predicted: predicted masks.
        index: which slice.

    Returns:
        uint8 (rows, columns, 3), RGB.
    """
    real, found = truth[index], predicted[index]
    grey = image.shown(index) if image is not None else np.zeros(real.shape, np.uint8)
    ground = np.repeat(grey[:, :, None], 3, axis=2)
    agreement = _painted(_painted(_painted(ground, real & found, FOUND), real & ~found, MISSED), found & ~real, WRONG)
    tiles = [ground, _painted(ground, real, TRUTH), _painted(ground, found, TRUTH), agreement]
    gap = np.full((TILE, GAP, 3), DIVIDER, np.uint8)
    row: list[RGBImage] = []
    for tile in tiles:
        row += [gap, _square(tile)]
    return np.concatenate(row[1:], axis=1)


def write_panel(path: Path, picture: RGBImage) -> None:
    """Write a picture as PNG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    atomic_write_bytes(path, bytes(data))


def _painted(ground: RGBImage, where: NDArray[np.bool_], colour: RGB) -> RGBImage:
    painted = ground.copy()
    painted[where] = np.rint(ground[where] * (1 - OPACITY) + np.asarray(colour) * OPACITY)
    return painted


def _square(tile: RGBImage) -> RGBImage:
    """The tile on a black square of `TILE` pixels, its proportions kept."""
    scale = TILE / max(tile.shape[:2])
    size = max(1, round(tile.shape[1] * scale)), max(1, round(tile.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.asarray(cv2.resize(tile, size, interpolation=how), dtype=np.uint8)
    square = np.zeros((TILE, TILE, 3), np.uint8)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square
