"""A coarse copy of a scan for the checks, and the air inside the body on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import bounding_box, components
from groundglass.volume import CTVolume

TARGET_MM = 4.0
MOST_SLICES = 96
AIR_HU = -500.0
GAS_HU = -950.0
TISSUE_HU = (-150.0, 200.0)
BONE_HU = 200.0
LUNG_PIECE_ML = 150.0
LUNG_PIECE_CM2 = 4.0


@dataclass(frozen=True, eq=False)
class VolumeSample:
    """Every n-th voxel of a scan.

    Attributes:
        values: float32 (z, y, x).
        spacing: distance (x, y, z) between its voxels in millimetres.
    """

    values: NDArray[np.float32]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, volume: CTVolume) -> Self:
        """A sample of about 4 mm in the slices, with 96 slices at most."""
        spacing, shape = volume.geometry.spacing, volume.geometry.shape
        x, y = (max(1, min(round(TARGET_MM / spacing[axis]), shape[axis] // 48)) for axis in (0, 1))
        z = max(1, round(shape[2] / MOST_SLICES))
        values = np.ascontiguousarray(volume.values[x // 2 :: x, y // 2 :: y, z // 2 :: z].T, dtype=np.float32)
        return cls(values, (x * spacing[0], y * spacing[1], z * spacing[2]))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return self.spacing[0] * self.spacing[1] * self.spacing[2] / 1000.0

    @property
    def height_mm(self) -> float:
        """Height of the stack."""
        return float(self.values.shape[0] * self.spacing[2])

    @cached_property
    def enclosed_air(self) -> NDArray[np.bool_]:
        """Air that no path within its slice connects to the border of the picture."""
        return np.stack([_enclosed(plane < AIR_HU) for plane in self.values])

    @cached_property
    def lungs(self) -> NDArray[np.bool_]:
        """Enclosed air in pieces large enough for a lung and denser than gas in the bowel."""
        labels, sizes = components(self.enclosed_air)
        smallest = min(LUNG_PIECE_ML, LUNG_PIECE_CM2 * self.height_mm / 10.0) / self.voxel_ml
        keep = sizes >= smallest
        keep[0] = False
        for label in np.flatnonzero(keep):
            keep[label] = bool(np.median(self.values[labels == label]) > GAS_HU)
        return np.asarray(keep[labels])


def _enclosed(air: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(air.astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(padded, connectivity=4)
    return np.asarray((padded > 0) & (labels != labels[0, 0]))[1:-1, 1:-1]


def footprint(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that a mask (z, y, x) occupies in any of its slices; empty slices for an empty mask."""
    box = bounding_box(np.asarray(mask.any(axis=0), dtype=np.bool_))
    return (box[0], box[1]) if box is not None else (slice(0, 0), slice(0, 0))
