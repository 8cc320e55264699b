"""Pieces of infection, and where in the lungs the infection lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from groundglass.analysis import Lesions
from groundglass.geometry import Geometry
from groundglass.image.morphology import components
from groundglass.measure.burden import percent
from groundglass.volume import LabelMap

SMALLEST_ML = 0.1
LISTED = 10
PERIPHERAL_MM = 10.0
_GRID_MM = 3.0
_SIDES = (1, 2)

Mask = NDArray[np.bool_]


def lesions(lungs: LabelMap, infection: LabelMap) -> Lesions | None:
    """Count connected pieces of infection and say how much of it lies at the surface and at the back.

    Args:
        lungs: 1 = right, 2 = left.
        infection: any label inside the lungs counts, on the same grid.

    Returns:
        None without a lung. A piece is connected through faces, edges or corners of voxels (26-neighbourhood).
        Peripheral: within 10 mm of the surface of its lung. Posterior: behind the middle of its lung's own extent
        from front to back.
    """
    box = _box(lungs.labels)
    if box is None:
        return None
    lung, lesion = lungs.labels[box], infection.labels[box]
    coarse = _Coarse.of(lung, lesion, lungs.geometry)
    volumes, sides = _pieces(lung, lesion, lungs.geometry.voxel_ml)
    bilateral = set(sides.tolist()) == set(_SIDES)
    volumes, sides = volumes[volumes >= SMALLEST_ML], sides[volumes >= SMALLEST_ML]
    near, behind = _shares(coarse, _peripheral), _shares(coarse, _posterior)
    return Lesions(
        count=len(volumes),
        right=int((sides == 1).sum()),
        left=int((sides == 2).sum()),
        smallest_ml=SMALLEST_ML,
        largest_ml=[float(volume) for volume in volumes[:LISTED]],
        median_ml=float(np.median(volumes)) if len(volumes) else None,
        bilateral=bilateral,
        peripheral_percent=near[0],
        peripheral_lung_percent=near[1],
        posterior_percent=behind[0],
        posterior_lung_percent=behind[1],
    )


def _box(labels: NDArray[np.uint8] | Mask) -> tuple[slice, slice, slice] | None:
    edges = [np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not edges[0].size:
        return None
    x, y, z = (slice(int(edge[0]), int(edge[-1]) + 1) for edge in edges)
    return x, y, z


def _pieces(
    lung: NDArray[np.uint8], lesion: NDArray[np.uint8], voxel_ml: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Volumes of the pieces in millilitres, the largest first, and the lung that each lies in.

    Pieces of the two lungs never join, however close the lungs are; one lung after the other takes half the memory.
    """
    volumes: list[NDArray[np.float64]] = [np.zeros(0)]
    sides = [np.zeros(0, dtype=np.int64)]
    for side in _SIDES:
        counts = _voxels(lung, lesion, side)
        volumes.append(np.asarray(counts * voxel_ml, dtype=np.float64))
        sides.append(np.full(len(counts), side))
    volume, where = np.concatenate(volumes), np.concatenate(sides)
    kept = np.argsort(-volume, kind="stable")
    return volume[kept], where[kept]


def _voxels(lung: NDArray[np.uint8], lesion: NDArray[np.uint8], side: int) -> NDArray[np.int64]:
    """Voxels of each piece of infection in one lung."""
    one = np.asarray(lung == side)
    np.logical_and(one, lesion, out=one)
    box = _box(one)
    if box is None:
        return np.zeros(0, dtype=np.int64)
    # (z, y, x): slice by slice, as in memory.
    pieces = np.ascontiguousarray(one[box].T).view(np.uint8)
    del one
    return components(pieces, connectivity=26)[1][1:]


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """Every n-th voxel of the box around the lungs, about 3 mm apart: shares need no more.

    Attributes:
        lung: labels.
        infected: infection inside the lungs.
        spacing: millimetres along x, y, z.
        steps: world y of one step along x, y, z.
    """

    lung: NDArray[np.uint8]
    infected: Mask
    spacing: NDArray[np.float64]
    steps: NDArray[np.float64]

    @classmethod
    def of(cls, lung: NDArray[np.uint8], lesion: NDArray[np.uint8], geometry: Geometry) -> _Coarse:
        every = [max(1, round(_GRID_MM / step)) for step in geometry.spacing]
        chosen = tuple(slice(step // 2, None, step) for step in every)
        spacing = np.multiply(every, geometry.spacing)
        sparse = lung[chosen].copy()
        infected = np.asarray((lesion[chosen] > 0) & (sparse > 0))
        return cls(sparse, infected, spacing, geometry.affine[1, :3] * every)


def _peripheral(coarse: _Coarse, side: int) -> Mask:
    """Voxels within `PERIPHERAL_MM` of the surface of one lung."""
    one = np.pad(coarse.lung == side, 1)
    near = distance_transform_edt(one, sampling=coarse.spacing) <= PERIPHERAL_MM
    return np.asarray((near & one)[1:-1, 1:-1, 1:-1])


def _posterior(coarse: _Coarse, side: int) -> Mask:
    """Voxels behind the middle of one lung's extent along the patient's front-back axis."""
    one = coarse.lung == side
    x, y, z = (step * np.arange(size) for step, size in zip(coarse.steps, one.shape, strict=True))
    height = x[:, None, None] + y[None, :, None] + z[None, None, :]
    inside = height[one]
    return np.asarray(one & (height < (inside.min() + inside.max()) / 2))


def _shares(coarse: _Coarse, part: Callable[[_Coarse, int], Mask]) -> tuple[float | None, float]:
    """Percent of the infection, and of the lung, in a part of each lung."""
    sides = [side for side in _SIDES if (coarse.lung == side).any()]
    chosen = np.zeros(coarse.lung.shape, dtype=bool)
    for side in sides:
        chosen |= part(coarse, side)
    sick = percent(int((chosen & coarse.infected).sum()), int(coarse.infected.sum()))
    return sick, percent(int(chosen.sum()), int((coarse.lung > 0).sum())) or 0.0
