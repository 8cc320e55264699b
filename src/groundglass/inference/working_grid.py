"""A coarser copy of a scan to judge shapes on, and the way back to the scan's own grid.

On a 512x512 scan the network's answer is an enlarged 256x256 picture, so every second voxel says all there is to
know about shapes; the outline is taken from the full grid at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry

T = TypeVar("T", bound=np.generic)

TARGET_MM = 1.5


@dataclass(frozen=True, slots=True)
class WorkingGrid:
    """Every n-th voxel of a grid along each axis, stored slice by slice as (z, y, x).

    Attributes:
        shape: size (x, y, z) of the full grid.
        factors: steps (x, y, z) in voxels.
        spacing: distance (x, y, z) between the voxels of this grid in millimetres.
    """

    shape: tuple[int, int, int]
    factors: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, geometry: Geometry) -> WorkingGrid:
        """The grid closest to `TARGET_MM` that keeps at least 64 voxels in a slice's rows and columns."""
        steps = []
        for axis, (size, spacing) in enumerate(zip(geometry.shape, geometry.spacing, strict=True)):
            most = size // 64 if axis < 2 else size // 16
            steps.append(max(1, min(round(TARGET_MM / spacing), most)))
        x, y, z = (step * spacing for step, spacing in zip(steps, geometry.spacing, strict=True))
        return cls(geometry.shape, (steps[0], steps[1], steps[2]), (x, y, z))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel of this grid in millilitres (right angles assumed)."""
        return self.spacing[0] * self.spacing[1] * self.spacing[2] / 1000.0

    @property
    def pixel_mm2(self) -> float:
        """Area of one pixel of a slice of this grid."""
        return self.spacing[0] * self.spacing[1]

    def sample(self, array: NDArray[T]) -> NDArray[T]:
        """The voxels of this grid as (z, y, x), contiguous, from an array (x, y, z) of the full grid."""
        steps = tuple(slice(factor // 2, None, factor) for factor in self.factors)
        return np.ascontiguousarray(array[steps].T)

    def nearest(self, axis: int) -> NDArray[np.int64]:
        """For every index of the full grid along an axis (0 = x), the index on this grid."""
        offset, factor, size = self.factors[axis] // 2, self.factors[axis], self.shape[axis]
        count = len(range(offset, size, factor))
        return np.minimum(np.arange(size) // factor, count - 1)

    def full_box(self, box: tuple[slice, ...]) -> tuple[slice, slice]:
        """Rows and columns of the full grid that the rows and columns of a box on this grid stand for."""
        rows, columns = (self._full_part(part, axis) for part, axis in zip(box, (1, 0), strict=True))
        return rows, columns

    def _full_part(self, part: slice, axis: int) -> slice:
        indices = self.nearest(axis)
        start, stop = np.searchsorted(indices, (part.start, part.stop))
        return slice(int(start), int(stop))

    def enlarge(self, plane: NDArray[T], box: tuple[slice, ...] | None = None) -> NDArray[T]:
        """A slice (y, x) of the full grid, or its `full_box`, from a slice of this grid, by repeating pixels."""
        rows, columns = self.full_box(box) if box is not None else (slice(None), slice(None))
        if self.factors[:2] == (1, 1):
            return plane[rows, columns]
        return np.take(np.take(plane, self.nearest(1)[rows], axis=0), self.nearest(0)[columns], axis=1)
