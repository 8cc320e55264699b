"""Second pass: the inside of the lungs (tissue, fissures, lesions, vessels, airways), blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.canvas import Grid
from groundglass.phantom.lesions import LungMap, Patch
from groundglass.phantom.scene import LUNG_HU, Scene
from groundglass.phantom.texture import SmoothField, reconstruction_noise
from groundglass.phantom.trees import ROOTS, VEIN_ROOTS, beside, curved, grow
from groundglass.phantom.tubes import TubeLayer, Tubes

VESSEL_HU, AIRWAY_WALL_HU, AIRWAY_HU = 38.0, -60.0, -975.0
HILAR_RADIUS_MM, HILAR_REACH_MM = 3.2, 26.0
TIP_RADIUS_MM = 0.40


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """What branches through the lungs.

    Attributes:
        small: vessels that count as lung.
        large: vessels at the lung root that do not.
        wall: airways with their wall.
        lumen: airways.
    """

    small: TubeLayer
    large: TubeLayer
    wall: TubeLayer
    lumen: TubeLayer


def grow_trees(lungs: LungMap, grid: Grid, detail: int, rng: np.random.Generator) -> Trees:
    """Grow arteries with airways and veins into both lungs.

    Args:
        lungs: the healthy lungs.
        grid: where they will be drawn.
        detail: number of arterial tips per lung; the veins get two thirds of it.
        rng: source of randomness.
    """
    vessels, airways = [], []
    for label in (1, 2):
        cloud = lungs.points((lungs.labels == label) & (lungs.depth > 5))
        arteries = grow(ROOTS[label], _spread(cloud, detail, lungs.grid.spacing, rng), TIP_RADIUS_MM, rng)
        veins = grow(VEIN_ROOTS[label], _spread(cloud, detail * 2 // 3, lungs.grid.spacing, rng), TIP_RADIUS_MM, rng)
        vessels += [curved(arteries, rng), curved(veins, rng)]
        airways.append(curved(beside(arteries, 1.7), rng))
    tubes, ways = Tubes.join(vessels), Tubes.join(airways)
    from_root = np.min([np.linalg.norm(tubes.start - root, axis=1) for root in ROOTS.values()], axis=0)
    large = (tubes.radius > HILAR_RADIUS_MM) & (from_root < HILAR_REACH_MM)
    return Trees(
        small=TubeLayer(tubes.select(~large), grid, gain=1.1),
        large=TubeLayer(tubes.select(large), grid, gain=1.3),
        wall=TubeLayer(ways.resized(1.1, 0.45), grid, gain=1.1),
        lumen=TubeLayer(ways.resized(0.9), grid, gain=1.2),
    )


def _spread(
    cloud: NDArray[np.float64], count: int, spacing: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """About `count` positions from a cloud of voxel centres, evenly chosen and shaken within their voxels."""
    chosen = cloud[rng.permutation(len(cloud))[: min(count, len(cloud))]]
    return np.asarray(chosen + rng.uniform(-0.45, 0.45, size=chosen.shape) * spacing)


def fill_lungs(scene: Scene, trees: Trees, patches: list[Patch], noise_hu: float, rng: np.random.Generator) -> None:
    """Fill in the lungs of `scene.hu` in place, then blur and add the noise of the scanner.

    Args:
        scene: the chest with empty lungs.
        trees: vessels and airways.
        patches: lesions.
        noise_hu: noise in the middle of the chest.
        rng: source of randomness.
    """
    texture = SmoothField(scene.grid, 3.6, rng)
    clouds = SmoothField(scene.grid, 22.0, rng)
    y = scene.grid.axis(1)[:, None]
    gravity = (-0.24 * y + 0.0004 * y * y).astype(np.float32)
    for index, z in enumerate(scene.grid.axis(2).tolist()):
        hu, lung = scene.hu[index], scene.lung[index].astype(np.float32) / 255
        tissue = LUNG_HU + gravity + 15 * texture.slice(index) + 6 * clouds.slice(index)
        tissue += 70 * np.exp(-(((z - scene.surfaces.fissure) / 1.6) ** 2))
        for patch in patches:
            _add_patch(tissue, patch, index)
        hu += (tissue - LUNG_HU) * lung
        _draw_trees(hu, lung, trees, index)
    finish(scene.hu, scene.grid, noise_hu, rng)


def finish(volume: NDArray[np.float32], grid: Grid, noise_hu: float, rng: np.random.Generator) -> None:
    """Give soft tissue its grain, blur and add noise; `volume` (nz, ny, nx) HU is changed in place."""
    flesh = SmoothField(grid, 4.0, rng)
    for index, hu in enumerate(volume):
        hu += np.where((hu > -150) & (hu < 120), 7.0 * flesh.slice(index), 0)
    _blur(volume, grid)
    for hu, noise in zip(volume, reconstruction_noise(grid, noise_hu, rng), strict=True):
        hu += noise
        np.clip(hu, -1024, 3071, out=hu)
        np.rint(hu, out=hu)


def _add_patch(tissue: NDArray[np.float32], patch: Patch, index: int) -> None:
    height, rows, columns = patch.box
    if height.start <= index < height.stop:
        part = tissue[rows, columns]
        part += (patch.hu[index - height.start] - part) * patch.opacity[index - height.start]


def _draw_trees(hu: NDArray[np.float32], lung: NDArray[np.float32], trees: Trees, index: int) -> None:
    for layer, value in ((trees.small, VESSEL_HU), (trees.large, VESSEL_HU + 4)):
        cover = layer.coverage(index)
        if cover is not None:
            hu += (value - hu) * cover * ((hu < value) & (hu > -940))
    for layer, value in ((trees.wall, AIRWAY_WALL_HU), (trees.lumen, AIRWAY_HU)):
        cover = layer.coverage(index)
        if cover is not None:
            hu += (value - hu) * cover * lung


def _blur(volume: NDArray[np.float32], grid: Grid) -> None:
    """The sharpness of a soft reconstruction: about 1.4 mm in the plane, neighbouring slices overlap a little."""
    across = 0.6 / grid.spacing[0]
    if across > 0.2:
        for hu in volume:
            hu[:] = cv2.GaussianBlur(hu, (0, 0), across)
    share = np.float32(0.10)
    before = volume[0].copy()
    for index in range(1, len(volume) - 1):
        current = volume[index].copy()
        volume[index] += share * (before + volume[index + 1] - 2 * current)
        before = current
