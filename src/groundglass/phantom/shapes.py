"""Curves for drawing: key values interpolated along the body, super-ellipses, offsets, smooth closed outlines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

Points = NDArray[np.float64]


class Keyed:
    """Values given at some heights, interpolated in between without overshoot and constant beyond the ends.

    Args:
        table: one row per height: z in millimetres, then the values.
    """

    def __init__(self, table: Sequence[Sequence[float]]) -> None:
        rows = np.array(table, dtype=np.float64)
        rows = rows[np.argsort(rows[:, 0])]
        self._low, self._high = float(rows[0, 0]), float(rows[-1, 0])
        self._curve = PchipInterpolator(rows[:, 0], rows[:, 1:], axis=0)

    def __call__(self, z: ArrayLike) -> NDArray[np.float64]:
        """The values at height z: (k,) for one height, (n, k) for n heights."""
        return np.asarray(self._curve(np.clip(z, self._low, self._high)))

    def covers(self, z: float, margin: float = 0.0) -> bool:
        """Whether z lies within the given heights."""
        return self._low - margin <= z <= self._high + margin


def angles(count: int) -> NDArray[np.float64]:
    """Evenly spaced angles of a full turn, counted from x towards y."""
    return np.linspace(0.0, 2 * np.pi, count, endpoint=False)


def superellipse(
    theta: NDArray[np.float64], half_width: float, front: float, back: float, exponents: tuple[float, float]
) -> Points:
    """Outline around (0, 0) whose front and back halves have their own depth and squareness.

    Args:
        theta: (n,) angles, x towards y.
        half_width: extent along x.
        front: extent along +y.
        back: extent along -y (positive number).
        exponents: squareness (2 = ellipse) of the front and of the back half.

    Returns:
        (n, 2) x, y.
    """
    cosine, sine = np.cos(theta), np.sin(theta)
    power = np.where(sine >= 0, 2.0 / exponents[0], 2.0 / exponents[1])
    depth = np.where(sine >= 0, front, back)
    x = half_width * np.sign(cosine) * np.abs(cosine) ** power
    y = depth * np.sign(sine) * np.abs(sine) ** power
    return np.stack([x, y], axis=1)


def offset(points: Points, distance: float | NDArray[np.float64]) -> Points:
    """Move a closed counter-clockwise outline outwards (inwards if negative) along its normals."""
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    length = np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / length
    return np.asarray(points + normal * np.reshape(distance, (-1, 1)))


def smooth_closed(control: Sequence[Sequence[float]], count: int = 48) -> Points:
    """A smooth closed curve (count, 2) through the control points."""
    return np.asarray(_closed_spline(len(control), count) @ np.array(control, dtype=np.float64))


@lru_cache(maxsize=64)
def _closed_spline(knots: int, count: int) -> NDArray[np.float64]:
    """The periodic cubic spline as a matrix (count, knots): it is linear in its control points."""
    unit = np.eye(knots)
    curve = CubicSpline(np.arange(knots + 1), np.concatenate([unit, unit[:1]]), bc_type="periodic")
    return np.asarray(curve(np.linspace(0, knots, count, endpoint=False)))


def ribbon(line: Points, widths: ArrayLike) -> Points:
    """Outline of a band along an open line.

    Args:
        line: (n, 2) centre line.
        widths: full width at each point, or one for all.
    """
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    half = np.broadcast_to(np.asarray(widths, dtype=np.float64) / 2, (len(line),))[:, None]
    side = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * half
    return np.concatenate([line + side, (line - side)[::-1]])
