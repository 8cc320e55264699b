"""Tubes through a volume (vessels, airways, ribs), with exact partial volume at any voxel size.

A tube is filled with evenly spread sample points; each carries its share of the tube's volume into the voxel it falls
in. That holds for tubes much thinner than a voxel and for voxels of any shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.canvas import Coverage, Grid

_SAMPLES_PER_VOXEL = 8
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True, slots=True, eq=False)
class Tubes:
    """Short straight pieces of tube.

    Attributes:
        start: (n, 3) millimetres.
        end: (n, 3) millimetres.
        radius: (n,) half width across; for flat tubes that across the `flat` direction.
        tall: (n,) half width along the body axis; None for round tubes.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: NDArray[np.float64]
    tall: NDArray[np.float64] | None = None

    @classmethod
    def along(cls, line: NDArray[np.float64], radius: NDArray[np.float64] | float, tall: float | None = None) -> Tubes:
        """A tube along an open line (n, 3); `radius` at each point or one for all."""
        widths = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(line),))
        middle = (widths[1:] + widths[:-1]) / 2
        height = None if tall is None else np.full(len(middle), tall)
        return cls(line[:-1], line[1:], middle, height)

    @classmethod
    def join(cls, parts: list[Tubes]) -> Tubes:
        """All pieces of several sets; flat and round tubes cannot be mixed."""
        tall = None
        if parts and parts[0].tall is not None:
            tall = np.concatenate([part.tall for part in parts if part.tall is not None])
        return cls(
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.end for part in parts]),
            np.concatenate([part.radius for part in parts]),
            tall,
        )

    def select(self, chosen: NDArray[np.bool_]) -> Tubes:
        """The pieces where `chosen` (n,) is true."""
        return Tubes(
            self.start[chosen],
            self.end[chosen],
            self.radius[chosen],
            None if self.tall is None else self.tall[chosen],
        )

    def resized(self, factor: float, extra: float = 0.0) -> Tubes:
        """The same tubes with radius * factor + extra."""
        tall = None if self.tall is None else self.tall * factor + extra
        return Tubes(self.start, self.end, self.radius * factor + extra, tall)


class TubeLayer:
    """How much of every voxel a set of tubes fills, slice by slice.

    Args:
        tubes: what to draw.
        grid: the volume.
        gain: a little over 1 evens out wide tubes, whose sample points leave small gaps.
    """

    def __init__(self, tubes: Tubes, grid: Grid, *, gain: float = 1.0) -> None:
        self._gain = gain
        self._shape = (grid.shape[1], grid.shape[0])
        slices, pixels, weights = _samples(tubes, grid)
        order = np.argsort(slices, kind="stable")
        self._pixels, self._weights = pixels[order], weights[order]
        self._starts = np.searchsorted(slices[order], np.arange(grid.shape[2] + 1))

    def coverage(self, index: int) -> Coverage | None:
        """Float32 (ny, nx) 0..1 of slice `index`; None where no tube passes."""
        first, last = self._starts[index], self._starts[index + 1]
        if first == last:
            return None
        size = self._shape[0] * self._shape[1]
        total = np.bincount(self._pixels[first:last], weights=self._weights[first:last], minlength=size)
        return np.asarray(np.minimum(total * self._gain, 1.0), dtype=np.float32).reshape(self._shape)


def _samples(tubes: Tubes, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Slice index, pixel index and share of a voxel for every sample point inside the volume."""
    step = 0.6 * min(grid.spacing)
    groups = []
    wide = tubes.radius if tubes.tall is None else np.sqrt(tubes.radius * tubes.tall)
    for low, high in ((0.0, 0.8), (0.8, 1.6), (1.6, 3.2), (3.2, 6.5), (6.5, np.inf)):
        chosen = (wide >= low) & (wide < high)
        if chosen.any():
            section = np.pi * min(high, 8.0) ** 2 * step / grid.voxel_mm3
            across = int(np.clip(_SAMPLES_PER_VOXEL * section, 3, 300))
            groups.append(_fill(tubes.select(chosen), across, step))
    if not groups:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.float32)
    points = np.concatenate([group[0] for group in groups])
    weights = np.concatenate([group[1] for group in groups]) / grid.voxel_mm3
    cells = np.floor((points - grid.origin) / grid.spacing + 0.5).astype(np.int64)
    inside = ((cells >= 0) & (cells < grid.shape)).all(axis=1)
    cells = cells[inside]
    return cells[:, 2], cells[:, 1] * grid.shape[0] + cells[:, 0], weights[inside].astype(np.float32)


def _fill(tubes: Tubes, across: int, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample points (m, 3) in the tubes, `across` per cross-section, and the volume (m,) that each stands for."""
    axis = tubes.end - tubes.start
    length = np.linalg.norm(axis, axis=1)
    count = np.maximum(np.ceil(length / step).astype(int), 1)
    piece = np.repeat(np.arange(len(length)), count)
    position = (np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[piece]
    centre = tubes.start[piece] + axis[piece] * position[:, None]
    along = axis / np.maximum(length, 1e-9)[:, None]
    up = np.where(np.abs(along[:, 2:]) < 0.85, np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]]))
    first = np.cross(up, along)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    tall = tubes.radius if tubes.tall is None else tubes.tall
    ring = np.arange(across)
    spread, turn = np.sqrt((ring + 0.5) / across), ring * _GOLDEN_ANGLE
    twist = turn[None, :] + 2.4 * np.arange(len(piece))[:, None]
    offsets_first = (spread * np.cos(twist))[:, :, None] * (first * tubes.radius[:, None])[piece][:, None, :]
    offsets_second = (spread * np.sin(twist))[:, :, None] * (second * tall[:, None])[piece][:, None, :]
    points = (centre[:, None, :] + offsets_first + offsets_second).reshape(-1, 3)
    volume = np.pi * tubes.radius * tall * length / (count * across)
    return points, np.repeat(volume[piece], across)
