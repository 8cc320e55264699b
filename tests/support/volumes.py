"""Small asymmetric volumes with marked voxels, and all the ways in which they can lie."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry

RAS_SHAPE = (13, 11, 9)
RAS_SPACING = (0.7, 0.9, 2.5)
RAS_ORIGIN = (-31.0, -47.5, 12.25)
MARKS = {(1, 2, 3): 111, (11, 2, 7): 222, (3, 9, 1): 333, (10, 8, 8): 444}
"""RAS index -> HU of single voxels in a scan that is -800 HU elsewhere."""


def marked_scan() -> tuple[NDArray[np.int16], Geometry]:
    """A RAS scan, asymmetric in size, spacing, place and content."""
    scan = np.full(RAS_SHAPE, -800, dtype=np.int16)
    for index, value in MARKS.items():
        scan[index] = value
    return scan, Geometry.from_spacing(RAS_SHAPE, RAS_SPACING, RAS_ORIGIN)


def mark_positions() -> dict[int, NDArray[np.float64]]:
    """HU -> world position in RAS millimetres, by hand and not by `Geometry`."""
    return {value: np.add(RAS_ORIGIN, np.multiply(index, RAS_SPACING)) for index, value in MARKS.items()}


ORIENTATIONS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]


def turned(
    scan: NDArray[np.int16], affine: NDArray[np.float64], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The same scan with its array axes permuted and flipped; written independently of `AxisOrder`."""
    array, matrix = scan.transpose(axes), affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:, 3] += matrix[:, axis] * (array.shape[axis] - 1)
            matrix[:, axis] *= -1
            array = np.flip(array, axis)
    return np.ascontiguousarray(array), matrix


def rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    """4x4 rotation about x, then y, then z."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = [(1, 2), (2, 0), (0, 1)][axis]
        turn = np.eye(4)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix
