"""One pass over a scan: voxel counts and HU sums from which all numbers are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry
from groundglass.volume import CTVolume, LabelMap, require_same_grid

LUNG_COUNT = 3
INFECTION_COUNT = 3

HISTOGRAM_LOW = -1050
HISTOGRAM_HIGH = 250
HISTOGRAM_STEP = 25
FINE_LOW = -1100
FINE_HIGH = 400
"""Range of the histogram of single Hounsfield units; values outside are counted in its first or last bin."""
HIGH_OPACITY_HU = -200.0
BIN_COUNT = (HISTOGRAM_HIGH - HISTOGRAM_LOW) // HISTOGRAM_STEP


@dataclass(frozen=True, slots=True, eq=False)
class Heights:
    """Position of every voxel along the patient's head-feet axis, as a level number that grows towards the head.

    A level is the sum of one part per array axis, so no volume of positions is ever stored. On a grid along the
    patient's axes the levels are the slice numbers; on an oblique grid they are steps of the slice spacing.

    Attributes:
        x: part of array axis x, in levels.
        y: part of array axis y.
        z: part of array axis z.
        count: number of levels.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, geometry: Geometry) -> Heights:
        """Levels of a grid in RAS+ order."""
        superior = geometry.affine[2, :3]
        step = abs(float(superior[2]))
        parts = [superior[axis] / step * np.arange(geometry.shape[axis]) for axis in range(3)]
        lowest = sum(float(part.min()) for part in parts)
        parts[2] = parts[2] - lowest
        highest = sum(float(part.max()) for part in parts)
        return cls(parts[0], parts[1], parts[2], int(np.rint(highest)) + 1)

    def of_slice(self, z: int, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Levels of pixels of the axial slice `z`, given as flat indices into its transpose (y, x)."""
        y, x = np.divmod(pixels, self.x.size)
        return np.asarray(np.rint(self.x[x] + self.y[y] + self.z[z]), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Tally:
    """What was counted.

    Attributes:
        by_level: int64 (3 lungs, 3 kinds of infection, levels): voxels per lung label (0 = outside), infection label
            (0 = none) and level from the feet.
        hu_sum: float64 (2,): sum of HU over the lung without infection and over the infection; None for grey values.
        fine: int64 (2 lungs, bins): voxels per Hounsfield unit from `FINE_LOW`; None for grey values.
        moments: float64 (2 lungs, 2): sum of HU and of their squares; None for grey values.
        high_opacity: int64 (2 lungs,): infected voxels of `HIGH_OPACITY_HU` and more; None for grey values.
    """

    by_level: NDArray[np.int64]
    hu_sum: NDArray[np.float64] | None
    fine: NDArray[np.int64] | None = None
    moments: NDArray[np.float64] | None = None
    high_opacity: NDArray[np.int64] | None = None

    @cached_property
    def histogram(self) -> NDArray[np.int64] | None:
        """Voxels (bins,) of the lungs per `HISTOGRAM_STEP`; what lies beyond counts in the end bins."""
        if self.fine is None:
            return None
        units = np.arange(FINE_LOW, FINE_HIGH)
        bins = np.clip((units - HISTOGRAM_LOW) // HISTOGRAM_STEP, 0, BIN_COUNT - 1)
        return np.asarray(np.bincount(bins, weights=self.fine.sum(axis=0), minlength=BIN_COUNT).astype(np.int64))

    @cached_property
    def lungs(self) -> NDArray[np.int64]:
        """Voxels (2,) of the right and the left lung, infection included."""
        return np.asarray(self.by_level[1:].sum(axis=(1, 2)))

    @cached_property
    def infection(self) -> NDArray[np.int64]:
        """Voxels (2 lungs, 2 kinds) of infection."""
        return np.asarray(self.by_level[1:, 1:].sum(axis=2))


def tally(volume: CTVolume, lungs: LabelMap, infection: LabelMap) -> Tally:
    """Count a scan; infection outside the lungs is not counted.

    Args:
        volume: the scan; its HU are read only where `volume.units` is `HU`.
        lungs: 1 = right, 2 = left.
        infection: 1 = ground-glass, 2 = consolidation.

    Raises:
        GeometryMismatchError: the three are not on one grid.
    """
    require_same_grid(volume, lungs)
    require_same_grid(volume, infection)
    heights = Heights.of(volume.geometry)
    counts = np.zeros(LUNG_COUNT * INFECTION_COUNT * heights.count, dtype=np.int64)
    density = _DensityTally()
    for z in range(lungs.labels.shape[2]):
        lung = lungs.labels[:, :, z]
        inside = np.flatnonzero(lung.T)
        if not inside.size:
            continue
        code = lung.T.ravel()[inside].astype(np.int64) * INFECTION_COUNT + infection.labels[:, :, z].T.ravel()[inside]
        counts += np.bincount(code * heights.count + heights.of_slice(z, inside), minlength=counts.size)
        if volume.units == "HU":
            density.add(np.asarray(volume.values[:, :, z].T.ravel()[inside], dtype=np.float32), code)
    by_level = counts.reshape(LUNG_COUNT, INFECTION_COUNT, heights.count)
    if volume.units != "HU":
        return Tally(by_level, None)
    fine = density.fine.reshape(2, -1)
    return Tally(by_level, density.hu_sum, fine, density.moments.T.copy(), density.high_opacity)


class _DensityTally:
    """Sums over the lungs, slice by slice."""

    def __init__(self) -> None:
        self.fine = np.zeros(2 * (FINE_HIGH - FINE_LOW), dtype=np.int64)
        self.hu_sum = np.zeros(2)
        self.moments = np.zeros((2, 2))
        self.high_opacity = np.zeros(2, dtype=np.int64)

    def add(self, hu: NDArray[np.float32], code: NDArray[np.int64]) -> None:
        """Count pixels of the lungs; `code` is lung label times `INFECTION_COUNT` plus infection label."""
        side, infected = code // INFECTION_COUNT - 1, code % INFECTION_COUNT > 0
        bins = np.clip(np.floor(hu).astype(np.int64), FINE_LOW, FINE_HIGH - 1) - FINE_LOW
        self.fine += np.bincount(side * (FINE_HIGH - FINE_LOW) + bins, minlength=self.fine.size)
        self.hu_sum += np.bincount(infected.astype(np.int64), weights=hu, minlength=2)
        exact = hu.astype(np.float64)
        self.moments += [np.bincount(side, weights=values, minlength=2) for values in (exact, exact * exact)]
        self.high_opacity += np.bincount(side[infected & (hu >= HIGH_OPACITY_HU)], minlength=2)
