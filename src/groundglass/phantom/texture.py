"""Noise: smooth random fields for tissue, and the noise of a CT reconstruction."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.canvas import Grid


class SmoothField:
    """A random field that varies smoothly over about `scale` millimetres; mean 0, standard deviation about 1.

    The random lattice is anchored to the body, not to the voxels, so that other voxel sizes show the same field.

    Args:
        grid: where the field is wanted.
        scale: distance between independent values, millimetres.
        rng: source of randomness.
    """

    def __init__(self, grid: Grid, scale: float, rng: np.random.Generator) -> None:
        self._grid, self._scale = grid, scale
        nx, ny, nz = (int(np.ceil(n * step / scale)) + 5 for n, step in zip(grid.shape, grid.spacing, strict=True))
        self._lattice = rng.standard_normal((nz, ny, nx), dtype=np.float32)

    def slice(self, index: int) -> NDArray[np.float32]:
        """The field on slice `index`, (ny, nx)."""
        level = index * self._grid.spacing[2] / self._scale + 1
        low, part = int(level), np.float32(level - int(level))
        plane = self._lattice[low] * (1 - part) + self._lattice[low + 1] * part
        gain = 1.35 / np.hypot(1 - part, part)
        across, along = self._grid.spacing[0] / self._scale, self._grid.spacing[1] / self._scale
        warp = np.array([[across, 0, 1.5], [0, along, 1.5]], dtype=np.float32)
        size = (self._grid.shape[0], self._grid.shape[1])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(plane, warp, size, flags=flags, borderMode=cv2.BORDER_REFLECT) * gain)

    def volume(self) -> NDArray[np.float32]:
        """The whole field, (nz, ny, nx)."""
        return np.stack([self.slice(index) for index in range(self._grid.shape[2])])


def reconstruction_noise(grid: Grid, level: float, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Noise of one slice after the other, (ny, nx) HU.

    High frequencies prevail, as a filtered back projection leaves them; neighbouring slices share a little; at the
    shoulders it is stronger and streaks from side to side.

    Args:
        grid: the volume.
        level: standard deviation in the middle of the chest at 1.15 x 1.15 x 2.5 mm; larger voxels average it out.
        rng: source of randomness.
    """
    nx, ny, _ = grid.shape
    size = level * np.sqrt(1.15 * 1.15 * 2.5 / grid.voxel_mm3)
    size = float(np.clip(size, 0.25 * level, 2.5 * level))
    x, y = grid.axis(0), grid.axis(1)
    centre = 0.55 + 0.45 * np.exp(-((x[None, :] / 130) ** 2) - ((y[:, None] / 95) ** 2))
    before = np.zeros((ny, nx), dtype=np.float32)
    for z in grid.axis(2).tolist():
        white = rng.standard_normal((ny, nx), dtype=np.float32)
        fine = cv2.GaussianBlur(white, (0, 0), 0.55) - 0.55 * cv2.GaussianBlur(white, (0, 0), 1.6)
        noise = 1.75 * (fine + 0.22 * before)
        before = fine
        shoulder = float(np.exp(-(((z - 282) / 26) ** 2)))
        if shoulder > 0.05:
            streaks = cv2.GaussianBlur(white, (0, 0), sigmaX=14 / grid.spacing[0], sigmaY=0.6)
            band = np.exp(-(((y + 6) / 26) ** 2)).astype(np.float32)[:, None]
            noise = noise * (1 + 0.5 * shoulder) + 5.5 * shoulder * band * streaks
        yield (size * centre * noise).astype(np.float32)
