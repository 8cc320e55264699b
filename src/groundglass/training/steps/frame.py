"""Where a slice lies in the square that the network sees: one affine map for image, masks and known pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.training.sample import Sample

Matrix = NDArray[np.float64]
AIR_HU = -1024.0


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine map from a slice onto a square.

    Attributes:
        matrix: 3x3, from (column, row, 1) of the slice to those of the square; pixel centres are whole numbers.
        size: Side of the square, pixels.
    """

    matrix: Matrix
    size: int

    @classmethod
    def of_box(cls, box: tuple[float, float, float, float], size: int, zoom: float = 1.0) -> Frame:
        """The box (left, top, right, bottom) of a slice, stretched to the square, then zoomed about its centre."""
        left, top, right, bottom = box
        across, down = zoom * size / (right - left), zoom * size / (bottom - top)
        middle = size / 2 - 0.5
        x, y = (left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5
        matrix = np.array([[across, 0.0, middle - across * x], [0.0, down, middle - down * y], [0.0, 0.0, 1.0]])
        return cls(matrix, size)

    @classmethod
    def whole(cls, shape: tuple[int, ...], size: int) -> Frame:
        """A whole slice of (rows, columns), stretched to the square."""
        return cls.of_box((0.0, 0.0, float(shape[1]), float(shape[0])), size)

    def then(self, linear: Matrix, shift: tuple[float, float] = (0.0, 0.0)) -> Frame:
        """Another frame: afterwards mapped by a 2x2 matrix about the centre and shifted by (columns, rows)."""
        centre = np.full(2, self.size / 2 - 0.5)
        move = np.eye(3)
        move[:2, :2] = linear
        move[:2, 2] = centre + np.array(shift) - linear @ centre
        return replace(self, matrix=move @ self.matrix)

    def is_identity_for(self, shape: tuple[int, ...]) -> bool:
        """Does it leave a slice of that shape as it is?"""
        return tuple(shape) == (self.size, self.size) and bool(np.allclose(self.matrix, np.eye(3)))


def turn(degrees: float) -> Matrix:
    """2x2 rotation."""
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def warp(image: NDArray[np.generic], frame: Frame, border: float) -> NDArray[np.float32]:
    """Carries a 2D image onto the square, bilinear; outside the slice lies ``border``."""
    side = (frame.size, frame.size)
    return np.asarray(
        cv2.warpAffine(
            image.astype(np.float32), frame.matrix[:2], side, flags=cv2.INTER_LINEAR, borderValue=(border,) * 4
        ),
        dtype=np.float32,
    )


def warp_masks(masks: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Carries masks ``[channel, row, column]`` of 0/1 onto the square; outside the slice they are 0."""
    moved = [warp(mask * 255, frame, 0.0) > 127.5 if mask.any() else np.zeros((frame.size,) * 2) for mask in masks]
    return np.stack(moved).astype(np.uint8)


def border_value(sample: Sample) -> float:
    """What lies outside a slice: air, or in a picture a grey near its darkest."""
    if sample.kind == "hu":
        return AIR_HU
    return float(np.percentile(np.asarray(sample.image)[::8, ::8].astype(np.float32), 2))


def place(sample: Sample, frame: Frame) -> Sample:
    """The slice with its labels, carried onto the square; beyond its border nothing is labelled, and that is known."""
    if frame.is_identity_for(sample.image.shape):
        return sample
    image: NDArray[np.generic] = warp(sample.image, frame, border_value(sample))
    if sample.kind == "picture":
        image = np.asarray(np.rint(np.clip(image, 0, 255)), dtype=np.uint8)
    masks = warp_masks(sample.masks, frame)
    known = 1 - warp_masks(1 - sample.known, frame)
    return replace(sample, image=image, masks=masks, known=np.asarray(known, dtype=np.uint8))
