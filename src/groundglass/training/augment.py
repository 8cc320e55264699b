"""Random changes of a slice and its labels; the parameters are drawn once and applied to both alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.prepare import equalise, window_to_uint8

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class AugmentConfig:
    """How far slices are changed in training.

    Attributes:
        rotation: Largest rotation, degrees, on top of the eight flips and quarter turns.
        scale: Range of the zoom factor.
        aspect: Largest relative stretch of one axis.
        shift: Largest shift, as a share of the side.
        crop_chance: Chance that the slice is cropped to the lungs (or, unlabelled, to its centre).
        equalise_chance: Chance that a grey picture is equalised (again).
        plain_chance: Chance that an HU slice is only windowed, as in an exported picture.
        noise: Largest standard deviation of added noise, grey levels.
        hu_noise: Largest standard deviation of noise added before an HU slice is windowed.
    """

    rotation: float = 20.0
    scale: tuple[float, float] = (0.75, 1.35)
    aspect: float = 0.15
    shift: float = 0.08
    crop_chance: float = 0.2
    equalise_chance: float = 0.5
    plain_chance: float = 0.2
    noise: float = 20.0
    hu_noise: float = 80.0


def _bounds(mask: NDArray[np.uint8] | None, shape: tuple[int, int], rng: np.random.Generator) -> tuple[float, ...]:
    """Crop box (left, top, right, bottom) around ``mask`` with a small random margin; else a central one."""
    rows, columns = shape
    if mask is not None and mask.sum() > 200:
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        left, right, top, bottom = (float(edge) for edge in (xs[0], xs[-1] + 1, ys[0], ys[-1] + 1))
    else:
        left, right, top, bottom = columns * 0.12, columns * 0.88, rows * 0.2, rows * 0.8
    # Slivers of lung at the base would be blown up beyond anything a picture shows.
    grow_x, grow_y = max(0.0, 0.45 * columns - (right - left)) / 2, max(0.0, 0.4 * rows - (bottom - top)) / 2
    left, right, top, bottom = left - grow_x, right + grow_x, top - grow_y, bottom + grow_y
    margin = rng.uniform(0.0, 0.08, 4) * np.array([right - left, bottom - top, right - left, bottom - top])
    return left - margin[0], top - margin[1], right + margin[2], bottom + margin[3]


def draw_matrix(
    shape: tuple[int, int], size: int, config: AugmentConfig, rng: np.random.Generator, lungs: NDArray[np.uint8] | None
) -> Matrix:
    """Draws the 2x3 affine that carries a slice of ``shape`` onto a square of ``size`` pixels.

    One of the eight flips and quarter turns, rotation, zoom, stretch, shift and sometimes a crop to the lungs.
    """
    rows, columns = shape
    box = (0.0, 0.0, float(columns), float(rows))
    if rng.random() < config.crop_chance:
        box = _bounds(lungs, shape, rng)  # type: ignore[assignment]
        zoom = rng.uniform(0.85, 1.1)
    else:
        zoom = math.exp(rng.uniform(math.log(config.scale[0]), math.log(config.scale[1])))
    left, top, right, bottom = box
    stretch = math.exp(rng.uniform(-config.aspect, config.aspect))
    angle = math.radians(rng.uniform(-config.rotation, config.rotation)) * (rng.random() < 0.7)
    angle += math.pi / 2 * int(rng.integers(4))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    grow = np.diag([mirror * zoom * stretch * size / (right - left), zoom / stretch * size / (bottom - top)])
    linear = turn @ grow
    centre = np.array([(left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5])
    target = np.full(2, size / 2 - 0.5) + rng.uniform(-config.shift, config.shift, 2) * size
    return np.column_stack([linear, target - linear @ centre])


def warp(image: NDArray[np.generic], matrix: Matrix, size: int, border: float) -> NDArray[np.float32]:
    """Carries a 2D image onto a ``size`` square, bilinear; outside the source lies ``border``."""
    return np.asarray(
        cv2.warpAffine(
            image.astype(np.float32), matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=(border,) * 4
        ),
        dtype=np.float32,
    )


def warp_masks(masks: NDArray[np.uint8], matrix: Matrix, size: int) -> NDArray[np.uint8]:
    """Carries masks ``[channel, row, column]`` of 0/1 onto a ``size`` square."""
    return np.stack([warp(mask * 255, matrix, size, 0.0) > 127.5 for mask in masks]).astype(np.uint8)


def hu_to_grey(hu: NDArray[np.float32], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Windows and equalises a slice in Hounsfield units the way scans are shown, with random settings."""
    if rng.random() < 0.3:
        grain = rng.standard_normal(hu.shape, dtype=np.float32)
        if rng.random() < 0.5:
            grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8)) * np.float32(2.0)
        hu = hu + grain * np.float32(config.hu_noise * rng.random() ** 2)
    low = rng.uniform(-1250.0, -1000.0)
    high = rng.choice([rng.uniform(150.0, 500.0), rng.uniform(200.0, 1600.0)])
    if rng.random() < config.plain_chance:
        if rng.random() < 0.4:
            low, high = rng.uniform(-1400.0, -1050.0), rng.uniform(50.0, 300.0)
        return window_to_uint8(hu, low, float(high))
    return equalise(window_to_uint8(hu, low, float(high)), float(rng.uniform(4.0, 9.0)))


def grey_to_grey(picture: NDArray[np.float32], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sometimes equalises a grey picture."""
    grey = np.asarray(np.rint(np.clip(picture, 0, 255)), dtype=np.uint8)
    if rng.random() < config.equalise_chance:
        return equalise(grey, float(rng.choice([7.0, rng.uniform(1.5, 8.0)])))
    return grey


def disturb(grey: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gamma, contrast, brightness, blur, lower resolution, noise and JPEG compression, each by chance."""
    size = grey.shape[0]
    if rng.random() < 0.15:
        small = int(size * rng.uniform(0.45, 0.9))
        grey = np.asarray(cv2.resize(cv2.resize(grey, (small, small), interpolation=cv2.INTER_AREA), (size, size)))
    elif rng.random() < 0.2:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.1)))
    levels = np.linspace(0.0, 1.0, 256)
    if rng.random() < 0.5:
        levels = levels ** math.exp(rng.uniform(-0.4, 0.4))
    if rng.random() < 0.5:
        levels = (levels - 0.5) * rng.uniform(0.75, 1.25) + 0.5 + rng.uniform(-0.12, 0.12)
    table = np.asarray(np.clip(np.rint(levels * 255), 0, 255), dtype=np.uint8)
    grey = table[grey]
    if rng.random() < 0.35:
        noise = rng.standard_normal(grey.shape, dtype=np.float32) * (1.0 + (config.noise - 1.0) * rng.random() ** 2)
        grey = np.asarray(np.clip(grey + noise, 0, 255), dtype=np.uint8)
    if rng.random() < 0.15:
        _, code = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])
        grey = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return grey
