"""First pass: everything but the inside of the lungs, and how much of every voxel is lung."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.abdomen import paint_abdomen
from groundglass.phantom.bones import (
    CARTILAGE,
    CORTEX,
    MARROW,
    collar_bones,
    paint_shoulders,
    paint_spine,
    paint_sternum,
    rib_tubes,
)
from groundglass.phantom.canvas import Canvas, Grid
from groundglass.phantom.mediastinum import lung_side_boundary, paint_mediastinum
from groundglass.phantom.thorax import Build, LungSurfaces, cavity_outline
from groundglass.phantom.trees import TRACHEA, main_bronchi
from groundglass.phantom.tubes import TubeLayer
from groundglass.phantom.wall import AIR, paint_beside_spine, paint_body, paint_table

LUNG_HU = -865.0
DIAPHRAGM_MM = 3.0
_HOLE_MM2, _SPECK_MM2 = 220.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The chest before its lungs are filled in; arrays are (z, y, x).

    Attributes:
        grid: the voxel grid.
        build: the patient.
        surfaces: diaphragm, lung tops and fissures.
        hu: float32; the lungs hold `LUNG_HU`.
        lung: uint8, 255 where a voxel is lung altogether.
        right: per slice and row, the x in millimetres from which lung belongs to the right lung, (nz, ny).
    """

    grid: Grid
    build: Build
    surfaces: LungSurfaces
    hu: NDArray[np.float32]
    lung: NDArray[np.uint8]
    right: NDArray[np.float32]

    def labels(self) -> NDArray[np.uint8]:
        """Truth of the lungs (z, y, x): 1 right, 2 left."""
        x = self.grid.axis(0)
        labels = np.where(x[None, None, :] > self.right[:, :, None], np.uint8(1), np.uint8(2))
        labels[_without_holes(self.lung >= 128, self.grid) == 0] = 0
        return labels


def _without_holes(lung: NDArray[np.bool_], grid: Grid) -> NDArray[np.uint8]:
    """The mask as readers draw it: the small holes of each slice (vessels, airways) filled, specks left out."""
    filled = lung.astype(np.uint8)
    pixel = grid.spacing[0] * grid.spacing[1]
    for mask in filled:
        if mask.any():
            mask[_small_parts(1 - mask, _HOLE_MM2 / pixel)] = 1
            mask[_small_parts(mask, _SPECK_MM2 / pixel)] = 0
    return filled


def _small_parts(mask: NDArray[np.uint8], pixels: float) -> NDArray[np.bool_]:
    """The connected parts of at most so many pixels."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= pixels
    small[0] = False
    return np.asarray(small[parts], dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    bones: tuple[tuple[TubeLayer, float], ...]
    airway_wall: TubeLayer
    airway: TubeLayer


def paint_scene(grid: Grid, build: Build, *, coarse: bool = False) -> Scene:
    """Paint all slices; `coarse` leaves out what does not bound the lungs."""
    surfaces = LungSurfaces.over(grid.axis(0), grid.axis(1), build)
    nx, ny, nz = grid.shape
    hu = np.full((nz, ny, nx), AIR, dtype=np.float32)
    lung = np.zeros((nz, ny, nx), dtype=np.uint8)
    right = np.zeros((nz, ny), dtype=np.float32)
    layers = None if coarse else _layers(grid, build)
    for index, z in enumerate(grid.axis(2).tolist()):
        canvas = Canvas(grid, z, hu[index])
        _paint_slice(canvas, build, surfaces, layers, index)
        np.rint(canvas.lung * 255, out=canvas.lung)
        lung[index] = canvas.lung
        right[index] = lung_side_boundary(z, grid.axis(1))
    return Scene(grid, build, surfaces, hu, lung, right)


def _layers(grid: Grid, build: Build) -> _Layers:
    outer, marrow, gristle = rib_tubes(build)
    clavicle, clavicle_marrow = collar_bones()
    bronchi = main_bronchi()
    bones = (
        (TubeLayer(gristle, grid), CARTILAGE),
        (TubeLayer(outer, grid, gain=1.15), CORTEX),
        (TubeLayer(marrow, grid), MARROW),
        (TubeLayer(clavicle, grid, gain=1.2), CORTEX),
        (TubeLayer(clavicle_marrow, grid), MARROW),
    )
    return _Layers(bones, TubeLayer(bronchi.resized(1.0, 1.5), grid, gain=1.3), TubeLayer(bronchi, grid, gain=1.3))


def _paint_slice(canvas: Canvas, build: Build, surfaces: LungSurfaces, layers: _Layers | None, index: int) -> None:
    if layers is not None:
        paint_table(canvas)
        paint_body(canvas, build)
        paint_shoulders(canvas)
        paint_sternum(canvas)
    _paint_lungs(canvas, build, surfaces)
    paint_mediastinum(canvas, build)
    thickness = canvas.grid.spacing[2]
    below = np.clip((surfaces.diaphragm - canvas.z) / thickness + 0.5, 0, 1).astype(np.float32)
    if layers is not None:
        deeper = np.clip((surfaces.diaphragm - DIAPHRAGM_MM - canvas.z) / thickness + 0.5, 0, 1)
        paint_abdomen(canvas, build, deeper.astype(np.float32))
    paint_beside_spine(canvas, build)
    if layers is not None:
        for layer, hu in layers.bones:
            cover = layer.coverage(index)
            if cover is not None:
                canvas.blend(cover, hu)
                canvas.lung *= 1 - cover
    paint_spine(canvas)
    canvas.lung *= 1 - below
    _paint_windpipe(canvas)
    if layers is not None:
        wall, lumen = layers.airway_wall.coverage(index), layers.airway.coverage(index)
        if wall is not None:
            canvas.blend(wall, 25)
            canvas.lung *= 1 - wall
        if lumen is not None:
            canvas.blend(lumen, AIR + 8)


def _paint_lungs(canvas: Canvas, build: Build, surfaces: LungSurfaces) -> None:
    found = canvas.coverage(cavity_outline(canvas.z, build))
    if found is None or canvas.z > 292:
        return
    box, cover = found
    thickness = canvas.grid.spacing[2]
    depth = np.minimum(surfaces.top[box] - canvas.z, canvas.z - surfaces.diaphragm[box])
    cover = cover * np.clip(depth / thickness + 0.5, 0, 1)
    muscle = np.clip((surfaces.diaphragm[box] - canvas.z) / thickness + 0.5, 0, 1)
    target = canvas.hu[box]
    target += (45 - target) * np.minimum(muscle, cover)
    target += (LUNG_HU - target) * cover
    canvas.lung[box] = cover


def _paint_windpipe(canvas: Canvas) -> None:
    z = canvas.z
    if z < 186:
        return
    x, y, wide, deep = TRACHEA(z)
    canvas.ellipse((x, y), (wide + 1.6, deep + 1.6), 32)
    canvas.ellipse((x, y), (wide, deep), AIR + 4)
