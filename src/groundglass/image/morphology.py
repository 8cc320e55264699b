"""Shapes of binary masks: smoothing along the slices, closing, holes, islands.

Stacks are uint8 arrays (slice, row, column) of 0 and 1, one axial slice after the other in memory.
"""

from __future__ import annotations

from typing import Any

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.uint8]
Plane = NDArray[np.uint8]

_PIECE = 1 << 22


def majority_along_slices(stack: Stack) -> Stack:
    """Median of each voxel and its two neighbours along the slices: removes what flickers in a single slice.

    The first and the last slice stay as they are.
    """
    if len(stack) < 3:
        return stack
    below, here, above = stack[:-2], stack[1:-1], stack[2:]
    smoothed = stack.copy()
    smoothed[1:-1] = (below & here) | (here & above) | (below & above)
    return smoothed


def bridge_slices(stack: Stack) -> Stack:
    """Add what both neighbouring slices have: closes a slice that was missed."""
    if len(stack) < 3:
        return stack
    bridged = stack.copy()
    bridged[1:-1] |= stack[:-2] & stack[2:]
    return bridged


def ellipse(radius_rows: float, radius_columns: float) -> Plane:
    """A filled ellipse as structuring element; radii in pixels."""
    rows, columns = max(round(radius_rows), 0), max(round(radius_columns), 0)
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    inside = (y / max(rows, 1)) ** 2 + (x / max(columns, 1)) ** 2 <= 1.0 + 1e-9
    return np.asarray(inside, dtype=np.uint8)


def close_plane(plane: Plane, element: Plane) -> Plane:
    """Morphological closing of one slice; nothing is added or lost at the picture's border."""
    box = bounding_box(plane)
    if box is None:
        return plane.copy()
    rows, columns = element.shape[0] // 2, element.shape[1] // 2
    padded = np.pad(plane[box], ((rows + 1, rows + 1), (columns + 1, columns + 1)))
    closed = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, element), dtype=np.uint8)
    result = plane.copy()
    result[box] = closed[rows + 1 : -rows - 1, columns + 1 : -columns - 1]
    return result


def holes_plane(plane: Plane) -> Plane:
    """Background of one slice that does not reach the picture's border."""
    padded = np.pad(1 - plane, 1, constant_values=1)
    _, labels = cv2.connectedComponents(padded, connectivity=4)
    outside = labels[0, 0]
    return np.asarray((padded == 1) & (labels != outside), dtype=np.uint8)[1:-1, 1:-1]


def holes_of_slices(stack: Stack) -> Stack:
    """Holes of every slice, see `holes_plane`; empty slices are skipped."""
    holes = np.zeros_like(stack)
    box = bounding_box(stack)
    if box is None:
        return holes
    for index in range(box[0].start, box[0].stop):
        holes[index][box[1:]] = holes_plane(stack[index][box[1:]])
    return holes


def bounding_box(array: NDArray[np.generic]) -> tuple[slice, ...] | None:
    """Smallest box around all values that are not zero; None for an empty array."""
    box = []
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        used = np.flatnonzero(array.any(axis=others))
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


Labels = NDArray[np.unsignedinteger[Any]]
"""Labels of components, in 16 bits where so many suffice and in 32 bits otherwise."""


def components(stack: NDArray[np.generic], *, connectivity: int = 6) -> tuple[Labels, NDArray[np.int64]]:
    """Connected components of a mask or of labels (then each label by itself).

    Args:
        stack: 0 is outside.
        connectivity: 6, 18 or 26 in 3D, 4 or 8 in 2D.

    Returns:
        Labels from 1, and the voxels of every label (index 0: background).
    """
    labels = cc3d.connected_components(stack, connectivity=connectivity)
    return labels, _sizes(labels)


def _sizes(labels: Labels) -> NDArray[np.int64]:
    """Voxels of every label, run by run: labels change rarely, and `bincount` copies each voxel to eight bytes."""
    flat = labels.ravel(order="K")
    sizes = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        starts = np.concatenate([[0], np.flatnonzero(piece[1:] != piece[:-1]) + 1])
        np.add.at(sizes, piece[starts], np.diff(starts, append=piece.size))
    return sizes


def without_islands(stack: NDArray[np.uint8], smallest: int, *, connectivity: int = 26) -> NDArray[np.uint8]:
    """A mask without its components of fewer than `smallest` voxels."""
    if smallest <= 1:
        return stack
    cleaned = stack.copy(order="K")
    remove_islands(cleaned, smallest, connectivity=connectivity)
    return cleaned


def remove_islands(stack: NDArray[np.uint8], smallest: int, *, connectivity: int = 26) -> None:
    """Remove the components of fewer than `smallest` voxels from a mask, in place."""
    box = bounding_box(stack)
    if box is None or smallest <= 1:
        return
    labels, sizes = components(stack[box], connectivity=connectivity)
    keep = np.asarray(sizes >= smallest, dtype=np.uint8)
    keep[0] = 0
    # In the order of memory, piece by piece: numpy widens every label to eight bytes when it looks it up.
    order = (2, 1, 0) if stack.ndim == 3 and stack.flags.f_contiguous else tuple(range(stack.ndim))
    for target, numbers in zip(stack[box].transpose(order), labels.transpose(order), strict=True):
        target[...] = keep[numbers]
