"""Ground-glass and consolidation: where lesions lie, which voxels they take and how dense they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.errors import OptionError
from groundglass.phantom.canvas import Grid
from groundglass.phantom.texture import SmoothField
from groundglass.phantom.tubes import TubeLayer, Tubes

Side = Literal["right", "left"]
ZoneName = Literal["upper", "middle", "lower"]
Kind = Literal["ground-glass", "ground-glass with consolidation", "crazy paving"]
SIDE_LABEL: dict[Side, int] = {"right": 1, "left": 2}
_ZONE_THIRD: dict[ZoneName, int] = {"lower": 0, "middle": 1, "upper": 2}
_CORE_SHARE = 0.30
_FADE_MM = 8.0


@dataclass(frozen=True, slots=True)
class LesionRequest:
    """A lesion to be made.

    Attributes:
        side: lung.
        zone: third of the lung's own height.
        kind: what it consists of.
        ml: volume, at the standard size of the phantom.
        depth: 0 at the pleura, 1 deep in the lung.

    Raises:
        OptionError: a volume that is not above zero.
    """

    side: Side
    zone: ZoneName
    kind: Kind
    ml: float
    depth: float = 0.0

    def __post_init__(self) -> None:
        """Check the volume."""
        if not 0 < self.ml < float("inf"):
            raise OptionError(f"the volume of a lesion is {self.ml} ml; expected a number above zero")


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion as it was made, counted from the truth.

    Attributes:
        name: e.g. `L1`.
        side: lung.
        zone: third of the lung's own height that holds its middle.
        kind: what it consists of.
        ml: volume, consolidation included.
        consolidation_ml: volume of the consolidated part.
        centre: body millimetres.
    """

    name: str
    side: Side
    zone: ZoneName
    kind: Kind
    ml: float
    consolidation_ml: float
    centre: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The voxels of one lesion inside its box; arrays are (z, y, x).

    Attributes:
        lesion: its description.
        box: where it lies in the volume.
        opacity: 0..1, how far the lung is replaced by `hu`.
        hu: density of the diseased lung.
        labels: 1 ground-glass, 2 consolidation.
    """

    lesion: Lesion
    box: tuple[slice, slice, slice]
    opacity: NDArray[np.float32]
    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LungMap:
    """Coarse map of the healthy lungs for placing things: labels and depth below the pleura, (z, y, x)."""

    grid: Grid
    labels: NDArray[np.uint8]
    depth: NDArray[np.float32]

    @classmethod
    def of(cls, grid: Grid, labels: NDArray[np.uint8]) -> LungMap:
        """The map with the distance of every lung voxel from the outside in millimetres."""
        depth = ndimage.distance_transform_edt(labels > 0, sampling=grid.spacing[::-1])
        return cls(grid, labels, depth.astype(np.float32))

    def points(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Body positions (n, 3) of the chosen voxels."""
        z, y, x = np.nonzero(chosen)
        return np.stack([self.grid.axis(0)[x], self.grid.axis(1)[y], self.grid.axis(2)[z]], axis=1).astype(np.float64)

    def heights(self, label: int) -> tuple[float, float]:
        """Lowest and highest z of one lung, millimetres."""
        z = self.grid.axis(2)[(self.labels == label).any(axis=(1, 2))]
        half = self.grid.spacing[2] / 2
        return float(z.min() - half), float(z.max() + half)

    def inward(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit direction away from the pleura at a body position."""
        index = np.round((point - self.grid.origin) / self.grid.spacing).astype(int)
        x, y, z = np.clip(index, 1, np.array(self.grid.shape) - 2)
        slope = np.array(
            [
                (self.depth[z, y, x + 1] - self.depth[z, y, x - 1]) / self.grid.spacing[0],
                (self.depth[z, y + 1, x] - self.depth[z, y - 1, x]) / self.grid.spacing[1],
                (self.depth[z + 1, y, x] - self.depth[z - 1, y, x]) / self.grid.spacing[2],
            ],
            dtype=np.float64,
        )
        length = float(np.linalg.norm(slope))
        return slope / length if length > 1e-6 else np.array([0.0, 1.0, 0.0])


def zone_of(z: float, low: float, high: float) -> ZoneName:
    """The third of a lung between `low` and `high` in which a height lies."""
    share = (z - low) / max(high - low, 1e-6)
    return "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"


def place(
    request: LesionRequest, lungs: LungMap, taken: list[tuple[NDArray[np.float64], float]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Choose the middle of a lesion: in its third of the lung, near the wall, rather at the back, clear of others.

    Raises:
        OptionError: the lung has no room for it.
    """
    label = SIDE_LABEL[request.side]
    low, high = lungs.heights(label)
    third = (high - low) / 3
    bottom = low + third * _ZONE_THIRD[request.zone]
    radius = _radius_mm(request.ml)
    depth = 0.45 * radius + 4 + 26 * request.depth
    z = lungs.grid.axis(2)[:, None, None]
    x = np.abs(lungs.grid.axis(0))[None, None, :]
    margin = min(0.3 * radius, 0.35 * third)
    inside = (lungs.labels == label) & (z > bottom + margin) & (z < bottom + third - margin)
    near = inside & (np.abs(lungs.depth - depth) < 5) & (x > 52)
    candidates = lungs.points(near if near.any() else inside)
    if len(candidates) == 0:
        raise OptionError(f"no room for a lesion in the {request.zone} {request.side} lung; use a larger volume")
    score = rng.random(len(candidates)) - 0.006 * candidates[:, 1]
    for centre, other in taken:
        distance = np.linalg.norm(candidates - centre, axis=1)
        score -= 3 * np.clip((1.1 * (radius + other) - distance) / radius, 0, 1)
    return np.asarray(candidates[int(np.argmax(score))])


def make_patch(
    request: LesionRequest,
    name: str,
    centre: NDArray[np.float64],
    lungs: LungMap,
    space: LesionSpace,
    rng: np.random.Generator,
) -> Patch:
    """Shape and fill one lesion so that its truth has the requested volume.

    Args:
        request: what to make.
        name: its name.
        centre: body millimetres.
        lungs: the healthy lungs.
        space: the voxels that may be taken.
        rng: source of randomness.
    """
    radius = _radius_mm(request.ml)
    box, grid = space.box(centre, 2.1 * radius + 4)
    inward = lungs.inward(centre)
    field, along = _form(grid, centre, inward, radius, rng)
    free = (space.labels[box] == SIDE_LABEL[request.side]) & (space.taken[box] == 0)
    threshold = _threshold(field, free, request.ml, grid)
    inside = free & (field >= threshold)
    opacity = _opacity(field - threshold, radius, grid, rng)
    density = _ground_glass(grid, opacity, request.kind, rng)
    labels = inside.astype(np.uint8)
    if request.kind == "ground-glass with consolidation":
        _consolidate(_Core(field - 0.55 * along, inside, inward, centre, radius), grid, labels, density, opacity, rng)
    ml = np.count_nonzero(labels) * grid.voxel_mm3 / 1000
    low, high = lungs.heights(SIDE_LABEL[request.side])
    z = float(np.average(grid.axis(2), weights=inside.sum(axis=(1, 2)) + 1e-9))
    solid = np.count_nonzero(labels == 2) * grid.voxel_mm3 / 1000
    middle = (float(centre[0]), float(centre[1]), float(centre[2]))
    lesion = Lesion(name, request.side, zone_of(z, low, high), request.kind, float(ml), float(solid), middle)
    return Patch(lesion, box, opacity, density, labels)


@dataclass(frozen=True, slots=True, eq=False)
class LesionSpace:
    """Voxels of the lungs, and those that lesions took already, (z, y, x)."""

    grid: Grid
    labels: NDArray[np.uint8]
    taken: NDArray[np.uint8]

    def box(self, centre: NDArray[np.float64], reach: float) -> tuple[tuple[slice, slice, slice], Grid]:
        """The part of the volume within `reach` millimetres of a point, and its grid."""
        middle = (centre - self.grid.origin) / self.grid.spacing
        low = np.clip(
            np.floor(middle - reach / np.array(self.grid.spacing)).astype(int), 0, np.array(self.grid.shape) - 1
        )
        high = np.clip(np.ceil(middle + reach / np.array(self.grid.spacing)).astype(int) + 1, low + 1, self.grid.shape)
        origin = np.array(self.grid.origin) + low * self.grid.spacing
        nx, ny, nz = (high - low).tolist()
        part = Grid((nx, ny, nz), self.grid.spacing, (float(origin[0]), float(origin[1]), float(origin[2])))
        box = (slice(int(low[2]), int(high[2])), slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
        return box, part


def _opacity(field: NDArray[np.float32], radius: float, grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """How far the lung is veiled: fades out over about a centimetre with frayed edges.

    The truth ends where about a third of the veil is left, which is where readers draw the outline.
    """
    frayed = field + 1.3 / radius * SmoothField(grid, 3.2, rng).volume()
    opacity = np.clip(frayed * radius / _FADE_MM + 0.38, 0, 1)
    return np.asarray(opacity * opacity * (3 - 2 * opacity), dtype=np.float32)


def _radius_mm(ml: float) -> float:
    return float((3000 * ml / (4 * np.pi)) ** (1 / 3))


def _form(
    grid: Grid, centre: NDArray[np.float64], inward: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A ragged body, flat against the pleura: a field that is high inside, and the depth along `inward` in radii."""
    x = (grid.axis(0) - centre[0])[None, None, :] / radius
    y = (grid.axis(1) - centre[1])[None, :, None] / radius
    z = (grid.axis(2) - centre[2])[:, None, None] / radius
    along = (x * inward[0] + y * inward[1] + z * inward[2]).astype(np.float32)
    distance = x * x + y * y + z * z
    body = 1 - np.sqrt(np.maximum(distance - along * along, 0) / 1.25**2 + along * along / 0.85**2)
    coarse = SmoothField(grid, max(0.75 * radius, 9.0), rng).volume()
    fine = SmoothField(grid, 6.0, rng).volume()
    return (body + 0.30 * coarse + 0.11 * fine).astype(np.float32), along


def _threshold(field: NDArray[np.float32], free: NDArray[np.bool_], ml: float, grid: Grid) -> float:
    values = field[free]
    wanted = round(ml * 1000 / grid.voxel_mm3)
    if wanted < 1 or wanted >= values.size:
        raise OptionError(f"a lesion of {ml:.3g} ml does not fit; expected at least one voxel and room in the lung")
    return float(np.partition(values, values.size - wanted)[values.size - wanted])


def _ground_glass(
    grid: Grid, opacity: NDArray[np.float32], kind: Kind, rng: np.random.Generator
) -> NDArray[np.float32]:
    """HU of the veiled lung: denser in the middle, uneven over centimetres and millimetres."""
    level = -575.0 + 60.0 * rng.standard_normal()
    clouds = SmoothField(grid, 12.0, rng).volume()
    grain = SmoothField(grid, 3.2, rng).volume()
    density = level + 70 * clouds + 65 * grain + 60 * (opacity - 0.5)
    if kind == "crazy paving":
        septa = np.exp(-((SmoothField(grid, 5.5, rng).volume() / 0.16) ** 2))
        density = density + 190 * septa
    return np.clip(density, -740, -230).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Core:
    """Where a lesion consolidates: `rank` is high at the pleura."""

    rank: NDArray[np.float32]
    inside: NDArray[np.bool_]
    inward: NDArray[np.float64]
    centre: NDArray[np.float64]
    radius: float


def _consolidate(
    core: _Core,
    grid: Grid,
    labels: NDArray[np.uint8],
    density: NDArray[np.float32],
    opacity: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Turn the part next to the pleura into consolidation with air bronchograms."""
    threshold = float(np.quantile(core.rank[core.inside], 1 - _CORE_SHARE))
    labels[core.inside & (core.rank >= threshold)] = 2
    solid = np.clip((core.rank - threshold) * core.radius / 3.5 + 0.5, 0, 1).astype(np.float32)
    solid *= solid * (3 - 2 * solid)
    tissue = 22.0 + 14.0 * SmoothField(grid, 5.0, rng).volume()
    density += (tissue - density) * solid * opacity
    layer = TubeLayer(_bronchograms(core, rng), grid)
    for index in range(grid.shape[2]):
        air = layer.coverage(index)
        if air is not None:
            density[index] += (-820 - density[index]) * air * solid[index]


def _bronchograms(core: _Core, rng: np.random.Generator) -> Tubes:
    """A few forking air-filled bronchi that run from inside towards the pleura."""
    parts = []
    start = core.centre + 0.9 * core.radius * core.inward
    for _ in range(4):
        sway = rng.normal(size=3) * 0.35
        share = np.linspace(0, 1, 7)[:, None]
        line = start + share * core.radius * 1.7 * (sway - core.inward) + 0.8 * rng.normal(size=(7, 3))
        parts.append(Tubes.along(line, np.linspace(1.5, 0.7, 7)))
    return Tubes.join(parts)
