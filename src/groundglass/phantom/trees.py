"""Branching vessels and airways that fill a lung, and the main bronchi.

A tree is grown by repeatedly halving a cloud of target points: from the end of each branch a new branch runs part of
the way to the middle of either half (the volume-filling scheme of Kitaoka et al., J Appl Physiol 1999, simplified).
The radius follows Murray's law upwards from the tips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.shapes import Keyed
from groundglass.phantom.tubes import Tubes

Points = NDArray[np.float64]

# z, x, y, half width, half depth of the windpipe
TRACHEA = Keyed(
    [
        (184, 1, -13, 11, 8),
        (192, 1.5, -12.5, 9.5, 8.5),
        (208, 2, -9, 8.6, 9.2),
        (228, 2, -5, 8.4, 9.4),
        (248, 1, 1, 8.2, 9.2),
        (268, 0.5, 7, 8.3, 9),
        (300, 0, 20, 9.5, 9),
    ]
)
_RIGHT_BRONCHUS = np.array(
    [(3.0, -12, 188), (14, -12, 180), (26, -12, 172), (38, -11, 163), (42, -12, 152), (45, -15, 140), (49, -20, 128)]
)
_RIGHT_UPPER_BRONCHUS = np.array([(24.0, -12, 173), (36, -10, 175), (50, -8, 179)])
_LEFT_BRONCHUS = np.array(
    [(-1.0, -13, 188), (-14, -15, 178), (-28, -18, 168), (-40, -20, 160), (-46, -23, 148), (-50, -28, 134)]
)
_LEFT_UPPER_BRONCHUS = np.array([(-40.0, -19, 160), (-48, -10, 162), (-56, -2, 168)])
ROOTS = {1: np.array([44.0, -9, 162]), 2: np.array([-45.0, -15, 167])}
VEIN_ROOTS = {1: np.array([40.0, -2, 147]), 2: np.array([-40.0, -9, 148])}
_MURRAY = 2.75


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """A tree as branches: start, end (n, 3), radius (n,) in millimetres."""

    start: Points
    end: Points
    radius: NDArray[np.float64]


def grow(root: Points, targets: Points, tip_radius: float, rng: np.random.Generator) -> Branches:
    """Grow a tree from `root` (3,) that reaches all `targets` (n, 3), millimetres."""
    starts: list[Points] = []
    ends: list[Points] = []
    tips: list[int] = []
    stack: list[tuple[Points, Points, int]] = [(root, targets, 0)]
    while stack:
        start, cloud, level = stack.pop()
        if len(cloud) == 1:
            end = cloud[0]
        else:
            reach = 0.30 if level == 0 else 0.46 + 0.10 * rng.random()
            end = start + reach * (cloud.mean(axis=0) - start)
        starts.append(start)
        ends.append(end)
        tips.append(len(cloud))
        if len(cloud) > 1:
            first = _halve(cloud, end)
            stack.append((end, cloud[first], level + 1))
            stack.append((end, cloud[~first], level + 1))
    radius = tip_radius * np.array(tips, dtype=np.float64) ** (1 / _MURRAY)
    return Branches(np.array(starts), np.array(ends), radius)


def _halve(cloud: Points, origin: Points) -> NDArray[np.bool_]:
    """Split a cloud into two equal halves across its widest direction as seen from the branching point."""
    centred = cloud - cloud.mean(axis=0)
    if len(cloud) > 8:
        away = cloud.mean(axis=0) - origin
        away = away / max(float(np.linalg.norm(away)), 1e-9)
        flat = centred - 0.5 * np.outer(centred @ away, away)
        _, vectors = np.linalg.eigh(flat.T @ flat)
        along = centred @ vectors[:, 2]
    else:
        along = centred[:, int(np.argmax(centred.max(axis=0) - centred.min(axis=0)))]
    first = np.zeros(len(cloud), dtype=bool)
    first[np.argsort(along, kind="stable")[: len(cloud) // 2]] = True
    return first


def curved(branches: Branches, rng: np.random.Generator, pieces: int = 5) -> Tubes:
    """The branches as gently bent, tapering tubes; consecutive pieces join."""
    span = branches.end - branches.start
    length = np.linalg.norm(span, axis=1)
    bend = rng.normal(size=span.shape)
    along = span / np.maximum(length, 1e-9)[:, None]
    bend -= np.sum(bend * along, axis=1, keepdims=True) * along
    bend *= (0.035 * length)[:, None]
    share = np.linspace(0, 1, pieces + 1)[None, :, None]
    path = branches.start[:, None] + span[:, None] * share + bend[:, None] * (4 * share * (1 - share))
    taper = np.linspace(1.06, 0.9, pieces)
    radius = branches.radius[:, None] * taper[None, :]
    return Tubes(path[:, :-1].reshape(-1, 3), path[:, 1:].reshape(-1, 3), radius.reshape(-1))


def beside(arteries: Branches, smallest: float) -> Branches:
    """The airways that run along the larger arteries, displaced by about one diameter."""
    chosen = arteries.radius > smallest
    shift = np.array([0.35, -0.75, 0.55]) * (1.55 * arteries.radius[chosen] + 0.8)[:, None]
    return Branches(arteries.start[chosen] + shift, arteries.end[chosen] + shift, arteries.radius[chosen] * 0.85)


def main_bronchi() -> Tubes:
    """Both main bronchi with their first branches, lumen radius in millimetres; the left one is longer and thinner."""
    return Tubes.join(
        [
            Tubes.along(_RIGHT_BRONCHUS, np.array([7.6, 7.2, 6.8, 5.6, 4.8, 4.2, 3.6])),
            Tubes.along(_RIGHT_UPPER_BRONCHUS, np.array([4.8, 4.3, 3.6])),
            Tubes.along(_LEFT_BRONCHUS, np.array([6.8, 6.2, 5.8, 5.2, 4.4, 3.6])),
            Tubes.along(_LEFT_UPPER_BRONCHUS, np.array([4.6, 4.0, 3.2])),
        ]
    )
