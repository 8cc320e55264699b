"""Lungs and infection as solid bodies, drawn in software: translucent lungs, opaque infection."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundglass.report.palette import CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, RGB, RIGHT_LUNG
from groundglass.volume import LabelMap

_STEP_MM = 2.7
_FINER = 3
"""Pictures are made this much finer than the grid; surfaces are smooth, so nothing is lost."""
_MARGIN = 6
_LIGHT = np.array([-0.42, 0.72, 0.55]) / np.linalg.norm([-0.42, 0.72, 0.55])
"""Towards the light: from the left of the picture, from the viewer, from above."""

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """One picture of the bodies.

    Attributes:
        pixels: uint8 (rows, columns, 3) RGB on black.
        title: from where they are seen.
    """

    pixels: NDArray[np.uint8]
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class _Bodies:
    """Smoothed masks (z, y, x) on one grid of equal steps, 0 to 1.

    Attributes:
        right: right lung.
        left: left lung.
        ground_glass: ground-glass.
        consolidation: consolidation.
    """

    right: Float
    left: Float
    ground_glass: Float
    consolidation: Float

    def turned(self, degrees: float) -> _Bodies:
        """Turned about the axis from feet to head, the patient's front towards his left for positive angles."""
        return _Bodies(*(_turned(part, degrees) for part in (*self.lungs, self.ground_glass, self.consolidation)))

    @property
    def lungs(self) -> tuple[Float, Float]:
        return self.right, self.left


@dataclass(frozen=True, slots=True, eq=False)
class _Shell:
    """What the rays of one body meet first.

    Attributes:
        cover: how deep rays go into it, 0.5 at its edge.
        depth: distance from the viewer in steps.
        light: brightness of the surface, 0 to 1.
        facing: how much the surface looks at the viewer, 0 at the rim to 1.
    """

    cover: Float
    depth: Float
    light: Float
    facing: Float


def solid_views(lungs: LabelMap, infection: LabelMap) -> list[Solid]:
    """The bodies seen from the front, from the patient's left and from the right front.

    Args:
        lungs: 1 = right, 2 = left.
        infection: 1 = ground-glass, 2 = consolidation, on the same grid.

    Returns:
        Three pictures of one height; none without lungs.
    """
    bodies = _bodies(lungs, infection)
    if bodies is None:
        return []
    turns = ((0.0, "From the front"), (-90.0, "From the patient's left"), (40.0, "From the right front"))
    return [Solid(_picture(bodies if degrees == 0 else bodies.turned(degrees)), title) for degrees, title in turns]


def _bodies(lungs: LabelMap, infection: LabelMap) -> _Bodies | None:
    """Masks on a grid of equal steps, with a margin; a remaining rotation of the scan is left as it is."""
    found = [np.flatnonzero(lungs.labels.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not found[0].size:
        return None
    box = tuple(slice(int(edge[0]), int(edge[-1]) + 1) for edge in found)
    lengths = [(part.stop - part.start) * step for part, step in zip(box, lungs.geometry.spacing, strict=True)]
    size = [max(2, round(length / _STEP_MM)) for length in lengths]
    parts = [
        _resampled(labels[box] == value, size)
        for labels, value in ((lungs.labels, 1), (lungs.labels, 2), (infection.labels, 1), (infection.labels, 2))
    ]
    smooth = [gaussian_filter(part, 1.0 if place < 2 else 0.7, truncate=3.0) for place, part in enumerate(parts)]
    return _Bodies(*smooth)


def _resampled(mask: NDArray[np.bool_], size: list[int]) -> Float:
    """Share of the mask (x, y, z) in each cell of a coarser grid (z, y, x), with a margin around it."""
    # Slice by slice (z, y, x), in the order of memory: copying across it would take longer than the resizing.
    shown = np.ascontiguousarray(mask.T).view(np.uint8) * np.uint8(255)
    flat = np.zeros((len(shown), size[1], size[0]), dtype=np.uint8)
    for z in np.flatnonzero(shown.any(axis=(1, 2))):
        flat[z] = _shrunk(shown[z], (size[1], size[0]))
    tall = _shrunk(flat.reshape(len(flat), -1), (size[2], size[0] * size[1])).reshape(size[2], size[1], size[0])
    return np.asarray(np.pad(tall, _MARGIN), dtype=np.float32) / np.float32(255.0)


def _shrunk(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    rows, columns = size
    shrinks = rows <= plane.shape[0] and columns <= plane.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=how), dtype=np.uint8)


def _turned(part: Float, degrees: float) -> Float:
    """Rotate every axial plane about its middle, on a plane large enough for all of it."""
    _, deep, wide = part.shape
    side = int(np.ceil(np.hypot(wide, deep)))
    turn = cv2.getRotationMatrix2D(((wide - 1) / 2, (deep - 1) / 2), -degrees, 1.0)
    turn[:, 2] += (side - wide) / 2, (side - deep) / 2
    turned = np.zeros((len(part), side, side), dtype=np.float32)
    for z in np.flatnonzero(part.any(axis=(1, 2))):
        turned[z] = cv2.warpAffine(part[z], turn, (side, side))
    return turned


def _picture(bodies: _Bodies) -> NDArray[np.uint8]:
    """Look along -y: columns from the patient's right to his left, rows from head to feet."""
    shells = {name: _shell(getattr(bodies, name)) for name in ("right", "left", "ground_glass", "consolidation")}
    rows, columns = shells["right"].cover.shape
    canvas = np.zeros((rows, columns, 3), dtype=np.float32)
    nearest = min(float(shell.depth[shell.cover > 0.5].min(initial=1e9)) for shell in shells.values())
    deep = bodies.right.shape[1]
    for name, colour in (("right", RIGHT_LUNG), ("left", LEFT_LUNG)):
        _lay(canvas, shells[name], colour, opacity=0.40, fade=_fade(shells[name], nearest, deep) * 0.6)
    for name, colour in (("ground_glass", GROUND_GLASS), ("consolidation", CONSOLIDATION)):
        _lay(canvas, shells[name], colour, opacity=0.94, fade=_fade(shells[name], nearest, deep))
    for name, colour in (("right", RIGHT_LUNG), ("left", LEFT_LUNG)):
        rim = (1.0 - shells[name].facing) ** 2
        _lay(canvas, shells[name], colour, opacity=0.26 + 0.55 * rim, fade=_fade(shells[name], nearest, deep))
    return _cut(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))


def _fade(shell: _Shell, nearest: float, deep: int) -> Float:
    """Farther surfaces are darker."""
    return np.asarray(1.0 - 0.4 * np.clip((shell.depth - nearest) / deep, 0.0, 1.0), dtype=np.float32)


def _lay(canvas: Float, shell: _Shell, colour: RGB, *, opacity: float | Float, fade: Float) -> None:
    """Paint a shell over what is there."""
    edge = np.clip((shell.cover - 0.5) * _FINER * 1.6 + 0.5, 0.0, 1.0)
    amount = (edge * opacity)[:, :, None]
    shade = (shell.light * fade)[:, :, None] * np.array(colour, dtype=np.float32)
    canvas *= 1.0 - amount
    canvas += amount * shade


def _shell(body: Float) -> _Shell:
    along = body[::-1, ::-1, ::-1].transpose(0, 2, 1)
    inside = np.ascontiguousarray(along > 0.5)
    met: NDArray[np.bool_] = np.asarray(inside.any(axis=2))
    first = inside.argmax(axis=2)
    rows, columns = np.nonzero(met)
    places = first[rows, columns]
    here = along[rows, columns, places]
    before = along[rows, columns, np.maximum(places - 1, 0)]
    depth = np.zeros(met.shape, dtype=np.float32)
    depth[met] = places - np.clip((here - 0.5) / np.maximum(here - before, 1e-3), 0.0, 1.0)
    light, facing = (np.ones(met.shape, dtype=np.float32) for _ in range(2))
    normal = _normals(along, rows, columns, places)
    light[met] = 0.40 + 0.75 * np.clip(normal @ _LIGHT, 0.0, 1.0) + 0.25 * np.clip(normal[:, 1], 0.0, 1.0) ** 24
    facing[met] = np.clip(normal[:, 1], 0.0, 1.0)
    cover = along.max(axis=2)
    depth, light, facing = (_spread(layer, met) for layer in (depth, light, facing))
    return _Shell(*(_finer(layer) for layer in (cover, depth, light, facing)))


def _normals(
    along: Float, rows: NDArray[np.intp], columns: NDArray[np.intp], places: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Outward unit normals (n, 3): to the right of the picture, towards the viewer, up."""

    def slope(axis: int) -> Float:
        low, high = [rows, columns, places], [rows, columns, places]
        low[axis], high[axis] = np.maximum(low[axis] - 1, 0), np.minimum(high[axis] + 1, along.shape[axis] - 1)
        return np.asarray(along[tuple(high)] - along[tuple(low)])

    normal = np.stack([-slope(1), slope(2), slope(0)], axis=1).astype(np.float64)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6))


def _spread(layer: Float, met: NDArray[np.bool_]) -> Float:
    """Continue values a little beyond the outline, so that enlarging does not mix in what is outside."""
    if not met.any():
        return layer
    weight = cv2.GaussianBlur(met.astype(np.float32), (0, 0), 1.5)
    blurred = cv2.GaussianBlur(np.where(met, layer, 0).astype(np.float32), (0, 0), 1.5)
    outside = np.where(weight > 1e-4, blurred / np.maximum(weight, 1e-4), layer)
    return np.where(met, layer, outside).astype(np.float32)


def _finer(layer: Float) -> Float:
    return np.asarray(cv2.resize(layer, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_CUBIC))


def _cut(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without empty columns, but for a margin; all pictures keep their height."""
    used = np.flatnonzero(picture.any(axis=(0, 2)))
    margin = _MARGIN * _FINER // 2
    return np.ascontiguousarray(picture[:, max(0, used[0] - margin) : used[-1] + margin + 1])
