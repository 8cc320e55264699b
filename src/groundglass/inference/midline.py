"""Which lung is which: a cut between the right and the left lung where least lung lies in its way."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Stack, components

RIGHT, LEFT = 1, 2

REACH = 2
"""Columns that the cut may move sideways from one row to the next."""
STRAY_MM = 60.0
"""Distance from the body's midline at which a row of the cut costs `STRAY_COST` of a row through lung."""
STRAY_COST = 0.3
FRAGMENT_SHARE = 0.25
CONTACT_SHARE = 0.2


def stray_cost(width: int, middle: float, spacing_mm: float) -> NDArray[np.float32]:
    """What a row of the cut costs at each of `width` columns for its distance from the midline."""
    distance = (np.arange(width, dtype=np.float32) - np.float32(middle)) * np.float32(spacing_mm / STRAY_MM)
    return np.asarray(np.float32(STRAY_COST) * distance**2, dtype=np.float32)


def cut_columns(cost: NDArray[np.float32], middle: float, spacing_mm: float) -> NDArray[np.int64]:
    """Cheapest path from the front to the back of every slice, by dynamic programming.

    Args:
        cost: (slice, y, x), what passing a voxel costs: 0 outside the lungs, up to 1 inside.
        middle: column x of the body's midline, which the cut keeps near where nothing else decides.
        spacing_mm: distance between columns.

    Returns:
        (slice, y): column of the cut in each row.
    """
    slices, rows, width = cost.shape
    stray = stray_cost(width, middle, spacing_mm)
    best = np.zeros((slices, width), dtype=np.float32)
    came_from = np.zeros((rows, slices, width), dtype=np.int8)
    for row in range(rows):
        best, came_from[row] = _cheapest_neighbour(best)
        best += cost[:, row] + stray
    path = np.empty((slices, rows), dtype=np.int64)
    column = best.argmin(axis=1)
    every = np.arange(slices)
    for row in range(rows - 1, -1, -1):
        path[:, row] = column
        column = column + came_from[row, every, column]
    return path


def _cheapest_neighbour(best: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Lowest cost within reach of each column, and how far aside it lies."""
    width = best.shape[1]
    padded = np.pad(best, ((0, 0), (REACH, REACH)), constant_values=np.inf)
    lowest = best.copy()
    aside = np.zeros(best.shape, dtype=np.int8)
    for offset in (-1, 1, -2, 2)[: 2 * REACH]:
        # A sideways step costs a little, so that the cut stays straight where nothing pulls it.
        neighbour = padded[:, REACH + offset : REACH + offset + width] + np.float32(0.01 * abs(offset))
        closer = neighbour < lowest
        np.copyto(lowest, neighbour, where=closer)
        aside[closer] = offset
    return lowest, aside


def split_sides(mask: Stack, cost: NDArray[np.float32], middle: float, spacing_mm: float) -> Stack:
    """Label the lungs 1 = right (larger x) and 2 = left, cutting them apart where they touch.

    Args:
        mask: (slice, y, x) lungs.
        cost: see `cut_columns`.
        middle: column of the body's midline.
        spacing_mm: distance between columns.
    """
    path = cut_columns(cost, middle, spacing_mm)
    columns = np.arange(mask.shape[2])[None, None, :]
    # The voxels of the cut itself go to the left lung: no voxel is lost.
    sides = np.where(columns > path[:, :, None], np.uint8(RIGHT), np.uint8(LEFT)) * mask
    return _mend(sides)


def _mend(sides: Stack) -> Stack:
    """Give fragments that the cut left on the wrong side back to the lung that they hang on to."""
    labels, sizes = components(sides)
    if sizes.size <= 2:
        return sides
    side_of = _side_of(labels, sides, sizes.size)
    sizes[0] = 0
    largest = {side: int(np.where(side_of == side, sizes, 0).max(initial=0)) for side in (RIGHT, LEFT)}
    contacts = cc3d.contacts(labels, connectivity=6, surface_area=False)
    for fragment in np.argsort(sizes)[::-1][1:]:
        if not sizes[fragment]:
            break
        other = RIGHT + LEFT - int(side_of[fragment])
        touching = [(count, a if b == fragment else b) for (a, b), count in contacts.items() if fragment in (a, b)]
        contact = sum(count for count, neighbour in touching if side_of[neighbour] == other)
        small = sizes[fragment] < FRAGMENT_SHARE * largest[other]
        not_main = sizes[fragment] < largest[int(side_of[fragment])]
        if contact and small and (not_main or contact > CONTACT_SHARE * sizes[fragment] ** (2 / 3)):
            side_of[fragment] = other
    return np.asarray(side_of[labels])


def _side_of(labels: NDArray[np.uint32], sides: Stack, count: int) -> NDArray[np.uint8]:
    """Side of every component."""
    side = np.full(count, LEFT, dtype=np.uint8)
    side[np.unique(labels[sides == RIGHT])] = RIGHT
    side[0] = 0
    return side
