"""How much lung there is and how much of it is infected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import InfectionVolumes, Involvement, LungVolumes


def percent(part: float, whole: float) -> float | None:
    """`part` of `whole` in percent; None where the whole is zero."""
    return 100.0 * float(part) / float(whole) if whole > 0 else None


def lung_volumes(lungs: NDArray[np.int64], voxel_ml: float) -> LungVolumes:
    """Lung volumes, infection included.

    Args:
        lungs: voxels (2,) of the right and the left lung.
        voxel_ml: volume of a voxel in millilitres.
    """
    right, left = (float(count) * voxel_ml for count in lungs)
    return LungVolumes(total=float(lungs.sum()) * voxel_ml, right=right, left=left)


def infection_volumes(infection: NDArray[np.int64], voxel_ml: float) -> InfectionVolumes:
    """Infected volumes per lung and kind.

    Args:
        infection: voxels (2 lungs, 2 kinds: ground-glass, consolidation).
        voxel_ml: volume of a voxel in millilitres.
    """
    right, left = (float(count) * voxel_ml for count in infection.sum(axis=1))
    ground_glass, consolidation = (float(count) * voxel_ml for count in infection.sum(axis=0))
    total = float(infection.sum()) * voxel_ml
    return InfectionVolumes(total=total, right=right, left=left, ground_glass=ground_glass, consolidation=consolidation)


def involvement(lungs: NDArray[np.float64] | NDArray[np.int64], infected: NDArray[np.float64]) -> Involvement:
    """Infected share of each lung and of both.

    Args:
        lungs: size (2,) of the right and the left lung, infection included, in any unit.
        infected: size (2,) of the infection in each, in the same unit.
    """
    return Involvement(
        total=percent(infected.sum(), lungs.sum()),
        right=percent(infected[0], lungs[0]),
        left=percent(infected[1], lungs[1]),
    )
