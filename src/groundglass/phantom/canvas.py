"""One axial slice being painted in body millimetres, with anti-aliased edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Coverage = NDArray[np.float32]

_SHIFT_BITS = 4
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 33)[:-1])], axis=1)


@dataclass(frozen=True, slots=True)
class Grid:
    """The voxel grid of the phantom in body millimetres (x right, y anterior, z superior).

    Attributes:
        shape: voxels along x, y, z.
        spacing: millimetres along x, y, z.
        origin: body position of the centre of voxel (0, 0, 0).
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    def axis(self, axis: int) -> NDArray[np.float32]:
        """Voxel centres along one axis, in millimetres."""
        centres = self.origin[axis] + self.spacing[axis] * np.arange(self.shape[axis])
        return np.asarray(centres, dtype=np.float32)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return self.spacing[0] * self.spacing[1] * self.spacing[2]


class Canvas:
    """A slice (rows = y from the back, columns = x from the left) in HU, and how much of each pixel is lung.

    Attributes:
        grid: the volume that the slice belongs to.
        z: height of the slice in millimetres.
        hu: float32 (ny, nx).
        lung: float32 (ny, nx), 0..1.
    """

    def __init__(self, grid: Grid, z: float, hu: NDArray[np.float32]) -> None:
        self.grid = grid
        self.z = z
        self.hu = hu
        self.lung = np.zeros(hu.shape, dtype=np.float32)

    def coverage(self, points: Points) -> tuple[tuple[slice, slice], Coverage] | None:
        """How much of each pixel a closed polygon covers, within its bounding box.

        Args:
            points: (n, 2) x, y in millimetres.

        Returns:
            The rows and columns of the box and float32 0..1 inside it; None if the polygon is outside the slice.
        """
        grid = self.grid
        pixels = (points - grid.origin[:2]) / grid.spacing[:2]
        low = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 2, grid.shape[:2])
        width, height = (high - low).tolist()
        if width <= 0 or height <= 0:
            return None
        fine = 4 if max(width, height) < 60 else 2
        mask = np.zeros((height * fine, width * fine), dtype=np.uint8)
        corners = np.round(((pixels - low + 0.5) * fine - 0.5) * (1 << _SHIFT_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_8, shift=_SHIFT_BITS)
        small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
        return box, small.astype(np.float32) * np.float32(1 / 255)

    def fill(
        self,
        points: Points,
        hu: float,
        *,
        strength: float = 1.0,
        clip: Coverage | None = None,
        in_lung: bool = False,
    ) -> None:
        """Paint a closed polygon.

        Args:
            points: (n, 2) x, y in millimetres.
            hu: the tissue's value.
            strength: opacity, for tissue that only partly fills the slice's thickness.
            clip: (ny, nx) 0..1, where painting is allowed.
            in_lung: the tissue counts as lung; otherwise the pixels covered stop being lung.
        """
        found = self.coverage(points)
        if found is None or strength <= 0:
            return
        box, cover = found
        if strength < 1:
            cover *= np.float32(strength)
        if clip is not None:
            cover *= clip[box]
        target = self.hu[box]
        target += (np.float32(hu) - target) * cover
        if not in_lung:
            self.lung[box] *= 1 - cover

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], hu: float, angle: float = 0.0) -> None:
        """Paint a filled ellipse; `angle` in degrees turns it from x towards y."""
        self.fill(ellipse(centre, radii, angle), hu)

    def blend(self, cover: Coverage, hu: float | NDArray[np.float32]) -> None:
        """Paint over the whole slice with a given coverage; the lung is left as it is."""
        self.hu += (np.asarray(hu, dtype=np.float32) - self.hu) * cover


def ellipse(centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Points:
    """Outline (32, 2) of an ellipse in millimetres; `angle` in degrees turns it from x towards y."""
    points = _CIRCLE * radii
    if angle:
        sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        points = points @ np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(points + centre)
