"""Scans without lungs, on which a program must say so: abdomen, head, noise, air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry
from groundglass.phantom.canvas import Canvas, Grid
from groundglass.phantom.lung_tissue import finish
from groundglass.phantom.scene import paint_scene
from groundglass.phantom.thorax import Build
from groundglass.volume import CTVolume, Source

_ABDOMEN_TOP, _HEAD_TOP = -68.0, 175.0


def make_abdomen(
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = (160, 160, 60),
    spacing: tuple[float, float, float] = (2.3, 2.3, 3.0),
) -> CTVolume:
    """The belly below the lungs: liver, kidneys, spine, bowel with gas.

    Args:
        seed: the same seed gives the same voxels.
        shape: voxels along x, y, z.
        spacing: millimetres.
    """
    grid = _grid(shape, spacing, middle=(0.0, -8.0), top=_ABDOMEN_TOP)
    scene = paint_scene(grid, Build.draw(np.random.default_rng([seed, 19])))
    finish(scene.hu, grid, 17.0, np.random.default_rng([seed, 43]))
    return _volume(scene.hu, grid, "abdomen")


def make_head(
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = (128, 128, 60),
    spacing: tuple[float, float, float] = (2.0, 2.0, 3.0),
) -> CTVolume:
    """A head: skull, brain with ventricles, eyes, air-filled sinuses and mastoid cells, throat.

    Args:
        seed: the same seed gives the same voxels.
        shape: voxels along x, y, z; z = 0 is the chin, 170 the crown.
        spacing: millimetres.
    """
    grid = _grid(shape, spacing, middle=(0.0, 0.0), top=_HEAD_TOP)
    nx, ny, nz = grid.shape
    hu = np.full((nz, ny, nx), -1000, dtype=np.float32)
    for index, z in enumerate(grid.axis(2).tolist()):
        _paint_head(Canvas(grid, z, hu[index]))
    finish(hu, grid, 6.0, np.random.default_rng([seed, 47]))
    return _volume(hu, grid, "head")


def make_noise(seed: int = 0, *, shape: tuple[int, int, int] = (64, 64, 24)) -> CTVolume:
    """Values without any structure, uniform from -1024 to 1024 HU."""
    grid = _grid(shape, (3.0, 3.0, 5.0), middle=(0.0, 0.0), top=60.0)
    rng = np.random.default_rng([seed, 53])
    return _volume(np.rint(rng.uniform(-1024, 1024, size=shape[::-1])).astype(np.float32), grid, "noise")


def make_air(seed: int = 0, *, shape: tuple[int, int, int] = (64, 64, 24)) -> CTVolume:
    """An empty scanner: air with a little noise."""
    grid = _grid(shape, (3.0, 3.0, 5.0), middle=(0.0, 0.0), top=60.0)
    rng = np.random.default_rng([seed, 59])
    return _volume(np.rint(rng.normal(-1000, 9, size=shape[::-1])).clip(-1024, -950).astype(np.float32), grid, "air")


def _grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], *, middle: tuple[float, float], top: float
) -> Grid:
    x, y = (place - step * (n - 1) / 2 for place, step, n in zip(middle, spacing, shape, strict=False))
    return Grid(shape, spacing, (x, y, top - spacing[2] * (shape[2] - 1)))


def _volume(array: NDArray[np.float32], grid: Grid, case: str) -> CTVolume:
    geometry = Geometry.from_spacing(grid.shape, grid.spacing, grid.origin)
    source = Source(case, "array", geometry, {"synthetic": "yes"})
    return CTVolume(np.ascontiguousarray(array.transpose(2, 1, 0)), geometry, source)


def _paint_head(canvas: Canvas) -> None:
    """One slice; the vault of the skull above z = 60, the face and the throat below."""
    z = canvas.z
    size = float(np.sqrt(max(0.0, 1 - ((z - 85) / 88) ** 2))) if z > 85 else 1.0
    neck = float(np.clip((40 - z) / 90, 0, 0.3))
    wide, deep = 78 * size * (1 - neck), 97 * size * (1 - 0.8 * neck)
    canvas.ellipse((0, 0), (wide, deep), -20)
    canvas.ellipse((0, 0), (wide - 5, deep - 5), 50)
    if z > 45:
        _paint_skull(canvas, wide, deep)
    if z < 70:
        _paint_face(canvas)


def _paint_skull(canvas: Canvas, wide: float, deep: float) -> None:
    z = canvas.z
    for inset, hu in ((7.0, 1100.0), (9.0, 550.0), (11.0, 1100.0), (13.0, 12.0), (15.0, 36.0), (20.0, 31.0)):
        if wide > inset and deep > inset:
            canvas.ellipse((0, -2), (wide - inset, deep - inset), hu)
    share = 1 - ((z - 105) / 30) ** 2
    if share > 0:
        size = float(np.sqrt(share))
        for side in (1, -1):
            canvas.ellipse((side * 11, 12), (6 * size, 26 * size), 8, side * 12.0)
            canvas.ellipse((side * 25, -30), (5 * size, 13 * size), 8, side * 40.0)


def _paint_face(canvas: Canvas) -> None:
    z = canvas.z
    for side in (1, -1):
        if 52 < z < 70:  # eyes, frontal part of the skull base
            canvas.ellipse((side * 32, 70), (17, 17), -70)
            canvas.ellipse((side * 32, 74), (12, 12), 15)
        if 20 < z < 56:  # sinuses of the cheek
            canvas.ellipse((side * 26, 55), (16, 18), 700)
            canvas.ellipse((side * 26, 55), (14, 16), -990)
        if 30 < z < 60:  # cells behind the ear
            canvas.ellipse((side * 56, -28), (13, 18), 500)
            for step in range(5):
                canvas.ellipse((side * (52 + 4 * (step % 3)), -40 + 6 * step), (2.6, 2.6), -800)
        if z < 22:  # lower jaw
            canvas.ellipse((side * 30, 34), (4.5, 26), 900, side * 14.0)
    if 18 < z < 58:
        canvas.ellipse((0, 62), (8, 24), -900)
        canvas.ellipse((0, 62), (1.2, 24), 60)
    if z < 30:
        canvas.ellipse((0, 22), (12, 9), -990)
    canvas.ellipse((0, -32), (15, 14), 600)
    canvas.ellipse((0, -36), (8, 7), 25)
