"""Random changes of a picture that break what tells its source: window, crop, sharpness, compression, lettering."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.lung_view import LUNG_LEVEL, Box, lung_box
from groundglass.image.prepare import equalise

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Grey, lung probability and infection probability of one slice, all of one size."""


@dataclass(frozen=True)
class Changes:
    """How far a picture is changed; chances 0..1.

    Attributes:
        whole_chance: the whole slice is shown instead of the lungs.
        mask_chance: everything outside the lungs becomes one grey.
        blind_chance: the lung and infection maps are hidden.
        rotation: largest rotation, degrees.
        grey_chance: gamma, contrast and brightness, each.
        blur_chance: blur or lower resolution.
        jpeg_chance: compression.
        noise_chance: added noise.
        equalise_chance: adaptive histogram equalisation.
        lettering_chance: letters and arrows, as figures of papers have.
        hole_chance: a rectangle is greyed out.
    """

    whole_chance: float = 0.2
    mask_chance: float = 0.2
    blind_chance: float = 0.15
    rotation: float = 15.0
    grey_chance: float = 0.6
    blur_chance: float = 0.35
    jpeg_chance: float = 0.35
    noise_chance: float = 0.3
    equalise_chance: float = 0.15
    lettering_chance: float = 0.2
    hole_chance: float = 0.2


def changed_view(
    planes: Planes, size: int, rng: np.random.Generator, changes: Changes | None = None
) -> NDArray[np.uint8]:
    """A random view of a slice.

    Args:
        planes: the slice and its maps.
        size: side of the view, pixels.
        rng: source of chance.
        changes: how far.

    Returns:
        uint8 (3, size, size): grey, lung, infection.
    """
    how = changes or Changes()
    grey, lung, infection = planes
    rows, columns = lung.shape
    box = Box(0, rows, 0, columns) if rng.random() < how.whole_chance else lung_box(lung)
    matrix = _matrix(box, size, how, rng)
    border = float(np.percentile(grey[::8, ::8], 2))
    shown = [_warp(plane, matrix, size, edge) for plane, edge in ((grey, border), (lung, 0.0), (infection, 0.0))]
    shown[2] = np.where(shown[1] >= LUNG_LEVEL, shown[2], np.uint8(0))
    if rng.random() < how.mask_chance:
        inside = cv2.dilate((shown[1] >= 100).astype(np.uint8), np.ones((7, 7), np.uint8))
        shown[0] = np.where(inside > 0, shown[0], np.uint8(rng.choice([0, 127, 255])))
    shown[0] = _repainted(shown[0], how, rng)
    if rng.random() < how.blind_chance:
        shown[1], shown[2] = np.zeros_like(shown[1]), np.zeros_like(shown[2])
    return np.stack(shown)


def _matrix(box: Box, size: int, how: Changes, rng: np.random.Generator) -> NDArray[np.float64]:
    """The affine that carries a jittered, turned, perhaps mirrored box onto the square."""
    tall, wide = box.bottom - box.top, box.right - box.left
    grow = rng.uniform(-0.08, 0.12, 4) * np.array([tall, tall, wide, wide])
    top, bottom = box.top - grow[0], box.bottom + grow[1]
    left, right = box.left - grow[2], box.right + grow[3]
    angle = math.radians(rng.uniform(-how.rotation, how.rotation)) * float(rng.random() < 0.6)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    upside = -1.0 if rng.random() < 0.08 else 1.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ np.diag([mirror * size / (right - left), upside * size / (bottom - top)])
    centre = np.array([(left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5])
    return np.column_stack([linear, np.full(2, size / 2 - 0.5) - linear @ centre])


def _warp(plane: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, border: float) -> NDArray[np.uint8]:
    warped = cv2.warpAffine(plane, matrix, (size, size), flags=cv2.INTER_AREA, borderValue=(border,) * 4)
    return np.asarray(warped, dtype=np.uint8)


def _repainted(grey: NDArray[np.uint8], how: Changes, rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < how.equalise_chance:
        grey = equalise(grey, float(rng.uniform(1.5, 7.0)))
    grey = _toned(grey, how, rng)
    if rng.random() < how.blur_chance:
        grey = _softened(grey, rng)
    if rng.random() < how.noise_chance:
        noise = rng.standard_normal(grey.shape, dtype=np.float32) * np.float32(rng.uniform(1.0, 14.0))
        grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    if rng.random() < how.lettering_chance:
        grey = _lettered(grey, rng)
    if rng.random() < how.hole_chance:
        grey = _holed(grey, rng)
    if rng.random() < how.jpeg_chance:
        _, code = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])
        grey = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return grey


def _toned(grey: NDArray[np.uint8], how: Changes, rng: np.random.Generator) -> NDArray[np.uint8]:
    levels = np.linspace(0.0, 1.0, 256)
    if rng.random() < how.grey_chance:
        levels = levels ** math.exp(rng.uniform(-0.6, 0.6))
    if rng.random() < how.grey_chance:
        levels = (levels - 0.5) * rng.uniform(0.7, 1.45) + 0.5 + rng.uniform(-0.18, 0.18)
    return np.asarray(np.clip(np.rint(levels * 255), 0, 255), dtype=np.uint8)[grey]


def _softened(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.6)), dtype=np.uint8)
    size = grey.shape[0]
    small = int(size * rng.uniform(0.35, 0.9))
    coarse = cv2.resize(grey, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (size, size)), dtype=np.uint8)


def _lettered(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    drawn, size = np.ascontiguousarray(grey).copy(), grey.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        ink = (float(rng.choice([0, 255])),) * 3
        x, y = (int(value) for value in rng.integers(0, size, 2))
        if rng.random() < 0.5:
            text = "".join(chr(int(code)) for code in rng.integers(65, 91, int(rng.integers(1, 4))))
            cv2.putText(drawn, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.4, 1.0)), ink, 1)
        else:
            end = (x + int(rng.integers(-25, 26)), y + int(rng.integers(-25, 26)))
            cv2.arrowedLine(drawn, (x, y), end, ink, int(rng.integers(1, 4)), tipLength=0.4)
    return drawn


def _holed(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    size = grey.shape[0]
    tall, wide = (int(value) for value in rng.integers(size // 10, size // 3, 2))
    top, left = int(rng.integers(0, size - tall)), int(rng.integers(0, size - wide))
    holed = grey.copy()
    holed[top : top + tall, left : left + wide] = int(rng.integers(0, 256))
    return holed
