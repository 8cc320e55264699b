"""A small hand-made chest in Hounsfield units, in millimetres around the middle of the chest, for exact tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry, Vector3
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap, Source, Units

AIR, LUNG, TISSUE, BONE = -1000.0, -850.0, 40.0, 500.0


def volume_of(
    values: NDArray[np.generic],
    *,
    spacing: Vector3 = (1.0, 1.0, 1.0),
    affine: NDArray[np.float64] | None = None,
    units: Units = "HU",
    details: dict[str, str] | None = None,
) -> CTVolume:
    """A scan from an array in RAS+ order."""
    shape = (values.shape[0], values.shape[1], values.shape[2])
    geometry = Geometry(shape, affine) if affine is not None else Geometry.from_spacing(shape, spacing)
    source = Source("case", "array", geometry, details or {})
    return CTVolume(np.asarray(values, dtype=np.float32, order="F"), geometry, source, units)


def lungs_of(volume: CTVolume, labels: NDArray[np.generic]) -> LabelMap:
    """A lung map on the grid of a scan."""
    return LabelMap(np.asarray(labels, dtype=np.uint8), volume.geometry, LUNG_NAMES, volume.source)


def infection_of(volume: CTVolume, labels: NDArray[np.generic]) -> LabelMap:
    """An infection map on the grid of a scan."""
    return LabelMap(np.asarray(labels, dtype=np.uint8), volume.geometry, INFECTION_NAMES, volume.source)


@dataclass(frozen=True)
class Chest:
    """What the hand-made chest looks like.

    Attributes:
        spacing: voxel size in millimetres.
        size: extent of the field of view in millimetres.
        middle: world z of the middle of the lungs relative to the middle of the field of view.
        gap: half the distance between the lungs at the front, in millimetres; 0 makes them touch.
        lungs: which lungs there are.
        blood: HU of the heart.
        noise: standard deviation of the noise.
    """

    spacing: Vector3 = (3.0, 3.0, 4.0)
    size: Vector3 = (396.0, 288.0, 320.0)
    middle: float = 0.0
    gap: float = 4.0
    lungs: tuple[int, ...] = (1, 2)
    blood: float = 40.0
    noise: float = 8.0
    parts: dict[str, NDArray[np.bool_]] = field(default_factory=dict, compare=False)

    def build(self) -> tuple[CTVolume, NDArray[np.uint8]]:
        """The scan and the true lungs (x, y, z)."""
        counts = [max(1, round(size / step)) for size, step in zip(self.size, self.spacing, strict=True)]
        x, y, z = np.ogrid[: counts[0], : counts[1], : counts[2]]
        x, y, z = (
            (index - (count - 1) / 2.0) * step
            for index, count, step in zip((x, y, z), counts, self.spacing, strict=True)
        )
        z = z - self.middle
        body = (x / 180.0) ** 2 + (y / 122.0) ** 2 + 0 * z <= 1.0
        truth = self._lungs(x, y, z)
        values = np.where(body, TISSUE, AIR)
        heart = _ball(x + 25.0, y - 32.0, z + 35.0, (48.0, 40.0, 50.0))
        values[heart] = self.blood
        values[truth > 0] = LUNG
        spine = ((x / 20.0) ** 2 + ((y + 92.0) / 18.0) ** 2 + 0 * z) <= 1.0
        shoulders = ((np.abs(x) - 120.0) / 40.0) ** 2 + ((y + 60.0) / 22.0) ** 2 + ((z - 118.0) / 35.0) ** 2 <= 1.0
        values[(spine | shoulders) & (truth == 0)] = BONE
        trachea = ((x - 4.0) / 9.0) ** 2 + ((y + 30.0) / 9.0) ** 2 + 0 * z <= 1.0
        trachea = trachea & (z > 20.0)
        values[trachea & body] = AIR
        truth[trachea] = 0
        self.parts.update({"body": body, "heart": heart, "trachea": trachea & body})
        random = np.random.default_rng(5)
        values = values + random.normal(0.0, self.noise, values.shape)
        return volume_of(values, spacing=self.spacing), truth

    def _lungs(self, x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Two egg-shaped lungs with hollow bases, the right one larger; the heart is cut out of both."""
        right = _ball(x - 78.0, y + 8.0, z + 20.0, (74.0, 92.0, 125.0)) & (x > self.gap)
        left = _ball(x + 78.0, y + 8.0, z + 20.0, (70.0, 92.0, 122.0)) & (x < -self.gap)
        liver = _ball(x - 70.0, y - 10.0, z + 150.0, (80.0, 85.0, 90.0))
        stomach = _ball(x + 85.0, y - 10.0, z + 150.0, (62.0, 75.0, 65.0))
        heart = _ball(x + 25.0, y - 32.0, z + 35.0, (50.0, 42.0, 52.0))
        spine = (x / 26.0) ** 2 + ((y + 92.0) / 24.0) ** 2 + 0 * z <= 1.0
        mediastinum = (np.abs(x) < 22.0) & (y > -70.0) & (y < 45.0) & (z > -200.0)
        inside = ~(liver | stomach | heart | spine | mediastinum)
        truth = np.zeros(inside.shape, dtype=np.uint8)
        if 1 in self.lungs:
            truth[right & inside] = 1
        if 2 in self.lungs:
            truth[left & inside] = 2
        return truth


def _ball(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64], radii: Vector3) -> NDArray[np.bool_]:
    return np.asarray((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2 <= 1.0)
