"""Six zones: each lung in three equal thirds of its own height, with a severity score per zone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Zone
from groundglass.measure.burden import percent

SIDES = ("right", "left")
THIRDS = ("upper", "middle", "lower")
ZONE_NAMES = tuple(f"{side} {third}" for side in SIDES for third in THIRDS)

SCORE_EDGES = (5.0, 25.0, 50.0)
"""Percent at which the score of a zone rises to 2, 3 and 4; any infection below the first edge scores 1."""


def zone_score(share: float | None, infected: bool) -> int | None:
    """Severity score of a zone.

    Args:
        share: infected percent of the zone; None where the zone holds no lung.
        infected: whether the zone holds any infection.

    Returns:
        0 without infection, 1 below 5 %, 2 from 5 to below 25 %, 3 from 25 to below 50 %, 4 from 50 %; None if unknown.
    """
    if share is None:
        return None
    return 1 + int(np.searchsorted(SCORE_EDGES, share, side="right")) if infected else 0


def zones(by_level: NDArray[np.int64], voxel_ml: float) -> list[Zone]:
    """The six zones, right upper to left lower.

    A lung that spans n levels is cut where a level's centre passes n/3 and 2n/3 of its height.

    Args:
        by_level: voxels (3 lungs, 3 kinds of infection, levels from the feet), as in `Tally.by_level`.
        voxel_ml: volume of a voxel in millilitres.
    """
    found = []
    for side, name in enumerate(SIDES, start=1):
        lung = by_level[side].sum(axis=0)
        third = _thirds(lung)
        for index, part in enumerate(THIRDS):
            chosen = third == index
            kinds = by_level[side, 1:][:, chosen].sum(axis=1)
            found.append(_zone(f"{name} {part}", int(lung[chosen].sum()), kinds, voxel_ml))
    return found


def unknown_zones() -> list[Zone]:
    """Six zones of which nothing is known (pictures have no height)."""
    return [Zone(name=name, lung_ml=None, infection_ml=None, percent=None, score=None) for name in ZONE_NAMES]


def total_score(found: list[Zone]) -> int | None:
    """Sum of the zones' scores, 0-24; a zone without lung adds nothing; None where no zone has a score."""
    scores = [zone.score for zone in found if zone.score is not None]
    return sum(scores) if scores else None


def _thirds(lung: NDArray[np.int64]) -> NDArray[np.int64]:
    """Third (0 = upper) of each level; -1 outside the lung."""
    third = np.full(lung.shape, -1, dtype=np.int64)
    levels = np.flatnonzero(lung)
    if levels.size:
        bottom, top = int(levels[0]), int(levels[-1])
        height = top - bottom + 1
        from_top = top - np.arange(bottom, top + 1)
        # (from_top + 0.5) / height * 3, in whole numbers so that an edge never depends on rounding.
        third[bottom : top + 1] = (6 * from_top + 3) // (2 * height)
    return third


def _zone(name: str, lung: int, kinds: NDArray[np.int64], voxel_ml: float) -> Zone:
    infected = int(kinds.sum())
    share = percent(infected, lung)
    return Zone(
        name=name,
        lung_ml=lung * voxel_ml,
        infection_ml=infected * voxel_ml,
        percent=share,
        score=zone_score(share, infected > 0),
        ground_glass_ml=int(kinds[0]) * voxel_ml,
        consolidation_ml=int(kinds[1]) * voxel_ml,
    )
