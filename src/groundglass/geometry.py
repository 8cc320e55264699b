"""Where the voxels of a volume are in the patient: shape and affine as one value.

World coordinates are RAS in millimetres: x grows to the patient's right, y to anterior, z to superior. An affine
maps the index of a voxel's centre to the world position of that centre, as in NIfTI.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from nibabel.orientations import aff2axcodes, io_orientation
from numpy.typing import ArrayLike, NDArray

from groundglass.errors import InvalidGeometryError

T = TypeVar("T", bound=np.generic)

Shape3 = tuple[int, int, int]
Vector3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class AxisOrder:
    """A permutation and flips of the three array axes, and its exact inverse.

    Attributes:
        axes: for each new axis, the old axis that it comes from.
        flipped: for each new axis, whether it runs against the old one.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, array: NDArray[T]) -> NDArray[T]:
        """Reorder an array (a view, nothing is copied)."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def undo(self, array: NDArray[T]) -> NDArray[T]:
        """Bring a reordered array back to the old axes (a view)."""
        unflipped = array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]
        return unflipped.transpose(tuple(int(axis) for axis in np.argsort(self.axes)))


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The grid of a volume.

    Attributes:
        shape: number of voxels along each array axis.
        affine: 4x4 float64, voxel index -> RAS world millimetres; read-only.

    Raises:
        InvalidGeometryError: not three positive sizes, not a finite invertible 4x4 affine, or a zero spacing.
    """

    shape: Shape3
    affine: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        """Copy, check and freeze the affine."""
        if len(self.shape) != 3 or any(size < 1 for size in self.shape):
            raise InvalidGeometryError(f"the shape is {self.shape}; expected three sizes of at least 1")
        affine = np.array(self.affine, dtype=np.float64)
        _check_affine(affine)
        affine.flags.writeable = False
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_spacing(cls, shape: Shape3, spacing: Vector3, origin: Vector3 = (0.0, 0.0, 0.0)) -> Geometry:
        """A grid along the RAS axes with `spacing` in millimetres and voxel (0, 0, 0) at `origin`."""
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = origin
        return cls(shape, affine)

    @property
    def spacing(self) -> Vector3:
        """Distance between voxel centres along each array axis, in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres; exact for oblique and sheared (tilted) grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000.0)

    @property
    def orientation(self) -> str:
        """Three letters, the direction in which each array axis grows, e.g. `RAS` or `LPI`."""
        return "".join(str(code) for code in aff2axcodes(self.affine))

    @property
    def tilt_degrees(self) -> float:
        """Largest deviation from right angles between array axes, in degrees (gantry tilt makes it > 0)."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        cosines = np.abs((directions.T @ directions)[np.triu_indices(3, 1)])
        return float(np.degrees(np.arcsin(np.clip(cosines.max(), 0.0, 1.0))))

    def world(self, index: ArrayLike) -> NDArray[np.float64]:
        """World position (..., 3) in RAS millimetres of voxel indices (..., 3); fractions are allowed."""
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def index(self, world: ArrayLike) -> NDArray[np.float64]:
        """Fractional voxel index (..., 3) of world positions (..., 3) in RAS millimetres."""
        points = np.asarray(world, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(np.linalg.solve(self.affine[:3, :3], points.reshape(-1, 3).T).T.reshape(points.shape))

    def matches(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and no corner of the volume is further apart than the tolerance."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)

    def ras_order(self) -> AxisOrder:
        """The reordering of axes that brings the array closest to RAS+; a rotation that remains stays in the affine."""
        orientation = io_orientation(self.affine)
        world_axis, direction = orientation[:, 0].astype(int), orientation[:, 1]
        axes = [int(axis) for axis in np.argsort(world_axis)]
        flipped = [bool(direction[axis] < 0) for axis in axes]
        return AxisOrder((axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]))

    def reordered(self, order: AxisOrder) -> Geometry:
        """The grid of `order.apply(array)`."""
        turn = np.zeros((4, 4))
        turn[3, 3] = 1.0
        for new, (old, flip) in enumerate(zip(order.axes, order.flipped, strict=True)):
            turn[old, new] = -1.0 if flip else 1.0
            turn[old, 3] = self.shape[old] - 1 if flip else 0.0
        x, y, z = (self.shape[axis] for axis in order.axes)
        return Geometry((x, y, z), self.affine @ turn)

    def cropped(self, start: Shape3, stop: Shape3) -> Geometry:
        """The grid of `array[start:stop]` along every axis.

        Raises:
            InvalidGeometryError: the box is empty or leaves the volume.
        """
        inside = all(0 <= a < b <= n for a, b, n in zip(start, stop, self.shape, strict=True))
        if not inside:
            raise InvalidGeometryError(f"the box {start}..{stop} is empty or leaves the volume of {self.shape}")
        affine = self.affine.copy()
        affine[:3, 3] = self.world(start)
        x, y, z = (b - a for a, b in zip(start, stop, strict=True))
        return Geometry((x, y, z), affine)

    def __str__(self) -> str:
        """Shape, spacing and orientation in one line."""
        sizes = "x".join(str(size) for size in self.shape)
        spacing = " x ".join(f"{value:.4g}" for value in self.spacing)
        return f"{sizes} voxels of {spacing} mm, {self.orientation}"


def _check_affine(affine: NDArray[np.float64]) -> None:
    if affine.shape != (4, 4):
        raise InvalidGeometryError(f"the affine has the shape {affine.shape}; expected 4x4")
    if not np.isfinite(affine).all():
        raise InvalidGeometryError("the affine holds a value that is not finite; expected 16 finite numbers")
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise InvalidGeometryError(f"the last row of the affine is {affine[3].tolist()}; expected [0, 0, 0, 1]")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-6:
        raise InvalidGeometryError(f"the voxel spacing is {spacing.tolist()} mm; expected three sizes above zero")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise InvalidGeometryError("the affine is singular (two axes point the same way); expected three directions")
