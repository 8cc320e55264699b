"""The synthetic chest CT: a deterministic, asymmetric patient whose lungs and lesions are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError
from groundglass.geometry import Geometry
from groundglass.phantom.canvas import Grid
from groundglass.phantom.lesions import Lesion, LesionRequest, LesionSpace, LungMap, Patch, make_patch, place
from groundglass.phantom.lung_tissue import fill_lungs, grow_trees
from groundglass.phantom.scene import Scene, paint_scene
from groundglass.phantom.thorax import Build
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap, Source

STANDARD_SHAPE = (320, 320, 124)
STANDARD_SPACING = (1.15, 1.15, 2.5)
_CENTRE = (0.0, -8.0, 147.75)
_COARSE_MM = 6.0

MODERATE = (
    LesionRequest("right", "lower", "ground-glass with consolidation", 118.0),
    LesionRequest("right", "lower", "ground-glass", 46.0),
    LesionRequest("right", "middle", "ground-glass", 58.0),
    LesionRequest("right", "upper", "ground-glass", 17.0, 0.3),
    LesionRequest("left", "lower", "ground-glass", 64.0),
    LesionRequest("left", "middle", "ground-glass with consolidation", 36.0),
    LesionRequest("left", "upper", "ground-glass", 9.0, 0.6),
)


@dataclass(frozen=True, slots=True)
class ChestOptions:
    """What the synthetic patient has.

    Attributes:
        lesions: the lesions; empty for a healthy chest; None draws a moderate load from the seed.
        noise_hu: standard deviation of the noise in the middle of the chest.
        vessel_tips: arterial ends per lung; None lets the voxel size decide.
    """

    lesions: tuple[LesionRequest, ...] | None = None
    noise_hu: float = 21.0
    vessel_tips: int | None = None


HEALTHY = ChestOptions(lesions=())


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic scan with its truth.

    Attributes:
        volume: the scan, HU.
        lungs: 1 right, 2 left; lung with infection and small vessels, without main airways and the lung root.
        infection: 1 ground-glass, 2 consolidation.
        lesions: every lesion with its volume as counted in `infection`.
        seed: what it was made from.
    """

    volume: CTVolume
    lungs: LabelMap
    infection: LabelMap
    lesions: tuple[Lesion, ...]
    lesion_index: NDArray[np.uint8]
    seed: int


def make_chest(
    seed: int = 0,
    *,
    spacing: tuple[float, float, float] | None = None,
    shape: tuple[int, int, int] | None = None,
    options: ChestOptions | None = None,
) -> Phantom:
    """Make a synthetic chest CT, from the shoulders to the upper abdomen.

    Args:
        seed: the same seed gives the same voxels.
        spacing: voxel size in millimetres; left out, that which makes `shape` cover the standard field of view.
        shape: voxels along x, y, z; left out, those that cover the standard field of view.
        options: lesions and noise.

    Raises:
        OptionError: a size below 8 voxels, a spacing not above zero, or a lesion that does not fit.
    """
    options = options or ChestOptions()
    grid = standard_grid(spacing, shape)
    rng = np.random.default_rng([seed, 19])
    build = Build.draw(rng)
    lungs = _lung_map(build)
    scene = paint_scene(grid, build)
    voxel = float(np.sqrt(grid.spacing[0] * grid.spacing[1]))
    tips = options.vessel_tips or int(np.clip(2000 / max(voxel, 1.0) ** 1.5, 120, 1800))
    trees = grow_trees(lungs, grid, tips, np.random.default_rng([seed, 23]))
    for index in range(grid.shape[2]):
        cover = trees.large.coverage(index)
        if cover is not None:
            scene.lung[index] = (scene.lung[index] * (1 - cover)).astype(np.uint8)
    labels = scene.labels()
    patches, taken, numbers = _lesions(options, lungs, LesionSpace(grid, labels, np.zeros_like(labels)), seed)
    fill_lungs(scene, trees, patches, options.noise_hu, np.random.default_rng([seed, 31]))
    return _phantom(scene, labels, taken, numbers, patches, seed)


def standard_grid(spacing: tuple[float, float, float] | None, shape: tuple[int, int, int] | None) -> Grid:
    """The voxel grid over the standard field of view."""
    extent = [n * step for n, step in zip(STANDARD_SHAPE, STANDARD_SPACING, strict=True)]
    if shape is None:
        steps = spacing or STANDARD_SPACING
        if min(steps) <= 0:
            raise OptionError(f"the spacing is {steps} mm; expected three sizes above zero")
        nx, ny, nz = (max(1, round(length / step)) for length, step in zip(extent, steps, strict=True))
        shape = (nx, ny, nz)
    if min(shape) < 8:
        raise OptionError(f"the shape is {shape}; expected at least 8 voxels along every axis")
    if spacing is None:
        x, y, z = (length / n for length, n in zip(extent, shape, strict=True))
        spacing = (x, y, z)
    origin = [middle - step * (n - 1) / 2 for middle, step, n in zip(_CENTRE, spacing, shape, strict=True)]
    return Grid(shape, spacing, (origin[0], origin[1], origin[2]))


def _lung_map(build: Build) -> LungMap:
    """A coarse map of the lungs that does not depend on the voxels asked for, so that lesions stay where they are."""
    coarse = Grid((62, 50, 52), (_COARSE_MM, _COARSE_MM, _COARSE_MM), (-183.0, -155.0, -8.0))
    return LungMap.of(coarse, paint_scene(coarse, build, coarse=True).labels())


def _lesions(
    options: ChestOptions, lungs: LungMap, space: LesionSpace, seed: int
) -> tuple[list[Patch], NDArray[np.uint8], NDArray[np.uint8]]:
    """All lesions, their labels and their numbers (z, y, x)."""
    rng = np.random.default_rng([seed, 29])
    numbers = np.zeros_like(space.taken)
    patches: list[Patch] = []
    placed: list[tuple[NDArray[np.float64], float]] = []
    requests = options.lesions
    if requests is None:
        requests = tuple(replace(lesion, ml=round(lesion.ml * rng.uniform(0.7, 1.3), 1)) for lesion in MODERATE)
    for number, request in enumerate(requests, start=1):
        centre = place(request, lungs, placed, rng)
        placed.append((centre, float((request.ml * 239) ** (1 / 3))))
        patch = make_patch(request, f"L{number}", centre, lungs, space, np.random.default_rng([seed, 37, number]))
        chosen = patch.labels > 0
        space.taken[patch.box][chosen] = patch.labels[chosen]
        numbers[patch.box][chosen] = number
        patches.append(patch)
    return patches, space.taken, numbers


def _phantom(
    scene: Scene,
    labels: NDArray[np.uint8],
    infection: NDArray[np.uint8],
    numbers: NDArray[np.uint8],
    patches: list[Patch],
    seed: int,
) -> Phantom:
    grid = scene.grid
    geometry = Geometry.from_spacing(grid.shape, grid.spacing, grid.origin)
    source = Source("phantom", "array", geometry, {"synthetic": "yes", "seed": str(seed)})
    volume = CTVolume(np.ascontiguousarray(scene.hu.transpose(2, 1, 0)), geometry, source)

    def label_map(array: NDArray[np.uint8], names: dict[int, str]) -> LabelMap:
        return LabelMap(np.ascontiguousarray(array.transpose(2, 1, 0)), geometry, names, source)

    return Phantom(
        volume,
        label_map(labels, dict(LUNG_NAMES)),
        label_map(infection, dict(INFECTION_NAMES)),
        tuple(patch.lesion for patch in patches),
        np.ascontiguousarray(numbers.transpose(2, 1, 0)),
        seed,
    )
