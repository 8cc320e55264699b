"""Trachea, main bronchi and gas in the oesophagus, followed from slice to slice by their Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Stack, ellipse

LUMEN_HU = -900.0
SMALLEST_MM2 = 25.0
START_MM2 = (50.0, 700.0)
LARGEST_MM2 = 900.0
FROM_MIDLINE_MM = 45.0
SHORTEST_MM = 25.0
WALL_MM = 1.5
ASIDE_MM = 18.0
BEHIND_MM = (8.0, 35.0)
OESOPHAGUS_MM2 = 400.0
RIM_MM = 4.0
WALL_HU = -750.0
"""Median HU from which the `RIM_MM` around a dark spot hold a wall; emphysema has no more than -850 there."""


@dataclass(frozen=True, slots=True)
class Lumen:
    """One dark spot of a slice.

    Attributes:
        label: its number in the slice's component picture.
        area_mm2: its area.
        round: whether it looks like a cut through a tube.
        column: x of its centre, in pixels.
        row: y of its centre, in pixels.
    """

    label: int
    area_mm2: float
    round: bool
    column: float
    row: float


def airways(hu: NDArray[np.float32], spacing: tuple[float, float, float], middle: float) -> Stack:
    """Lumen and wall of the trachea and the main bronchi, and gas in the oesophagus.

    The trachea is the longest chain of round dark spots near the midline, each overlapping the one above, that
    starts in the upper half of the scan. From there the lumen is followed downwards; a spot too large for an airway
    (a leak into emphysema) ends its branch. A dark spot close behind the trachea with a wall is gas in the oesophagus;
    without one it is emphysema of the lung beside it.

    Args:
        hu: (slice, y, x) Hounsfield units.
        spacing: (x, y, z) in millimetres.
        middle: column of the body's midline.

    Returns:
        Mask of the same shape; empty where no trachea is found.
    """
    found = np.zeros(hu.shape, dtype=np.uint8)
    pictures = [_spots(plane, spacing[0] * spacing[1]) for plane in hu]
    chains = _chains(pictures, spacing, middle)
    if not chains:
        return found
    element = ellipse(WALL_MM / spacing[1] + 0.5, WALL_MM / spacing[0] + 0.5)
    rim = ellipse(RIM_MM / spacing[1], RIM_MM / spacing[0])
    trachea = max(chains, key=len)
    _follow(pictures, found, trachea)
    for z, tube in trachea.items():
        for spot in pictures[z][1]:
            if _behind(spot, tube, spacing):
                gas = np.asarray(pictures[z][0] == spot.label, dtype=np.uint8)
                if _has_wall(gas, hu[z], rim):
                    found[z] |= gas
    for index in np.flatnonzero(found.any(axis=(1, 2))):
        found[index] = cv2.dilate(found[index], element)
    return found


Spots = tuple[NDArray[np.int32], list[Lumen]]
"""The component picture of a slice and its dark spots."""

Chain = dict[int, Lumen]
"""One spot per slice."""


def _spots(plane: NDArray[np.float32], pixel_mm2: float) -> Spots:
    """Dark spots of a slice that do not reach its border and are small enough for an airway."""
    smooth = cv2.GaussianBlur(np.ascontiguousarray(plane), (3, 3), 0.7)
    dark = np.asarray(smooth < LUMEN_HU, dtype=np.uint8)
    _, labels, stats, centres = cv2.connectedComponentsWithStats(dark, connectivity=4)
    left, top, width, height = (stats[:, column] for column in (0, 1, 2, 3))
    area = stats[:, cv2.CC_STAT_AREA] * pixel_mm2
    inside = (left > 0) & (top > 0) & (left + width < plane.shape[1]) & (top + height < plane.shape[0])
    chosen = np.flatnonzero(inside & (area >= SMALLEST_MM2) & (area <= LARGEST_MM2))
    spots = []
    for label in chosen[chosen > 0]:
        filled = stats[label, cv2.CC_STAT_AREA] / (width[label] * height[label])
        aspect = max(width[label], height[label]) / min(width[label], height[label])
        spots.append(
            Lumen(
                int(label),
                float(area[label]),
                bool(filled > 0.55 and aspect < 2.2),
                *(float(c) for c in centres[label]),
            )
        )
    return np.asarray(labels, dtype=np.int32), spots


def _chains(pictures: list[Spots], spacing: tuple[float, float, float], middle: float) -> list[Chain]:
    """Chains of tube-like spots that start near the midline in the upper half of the scan."""
    chains = []
    seen: set[tuple[int, int]] = set()
    for top in range(len(pictures) - 1, len(pictures) // 2, -1):
        for spot in pictures[top][1]:
            if (top, spot.label) in seen or not _starts(spot, spacing[0], middle):
                continue
            chain = _chain(pictures, top, spot)
            seen.update((z, link.label) for z, link in chain.items())
            if len(chain) * spacing[2] >= SHORTEST_MM:
                chains.append(chain)
    return chains


def _starts(spot: Lumen, column_mm: float, middle: float) -> bool:
    near = abs(spot.column - middle) * column_mm <= FROM_MIDLINE_MM
    return spot.round and near and START_MM2[0] <= spot.area_mm2 <= START_MM2[1]


def _chain(pictures: list[Spots], top: int, spot: Lumen) -> Chain:
    """Tube-like spots below one another, from `spot` on."""
    chain = {top: spot}
    for z in range(top - 1, -1, -1):
        labels, spots = pictures[z]
        under = np.bincount(labels[pictures[z + 1][0] == spot.label])
        below = [s for s in spots if s.label < under.size and under[s.label] and s.round and s.area_mm2 <= START_MM2[1]]
        if not below:
            break
        spot = max(below, key=lambda s: int(under[s.label]))
        chain[z] = spot
    return chain


def _behind(spot: Lumen, trachea: Lumen, spacing: tuple[float, float, float]) -> bool:
    """Whether a spot lies where the oesophagus is: close behind the trachea."""
    aside = abs(spot.column - trachea.column) * spacing[0]
    behind = (trachea.row - spot.row) * spacing[1]
    return aside <= ASIDE_MM and BEHIND_MM[0] <= behind <= BEHIND_MM[1] and spot.area_mm2 <= OESOPHAGUS_MM2


def _has_wall(spot: Stack, plane: NDArray[np.float32], element: Stack) -> bool:
    """Whether what lies around a spot of a slice is denser than lung."""
    around = cv2.dilate(spot, element) & (1 - spot)
    return bool(np.median(plane[around > 0]) > WALL_HU) if around.any() else False


def _follow(pictures: list[Spots], found: Stack, trachea: Chain) -> None:
    """Mark every spot connected from above with the trachea."""
    top = max(trachea)
    found[top] = pictures[top][0] == trachea[top].label
    for z in range(top - 1, -1, -1):
        labels, spots = pictures[z]
        above = set(np.unique(labels[found[z + 1] > 0]).tolist())
        keep = [spot.label for spot in spots if spot.label in above]
        if not keep:
            return
        found[z] = np.isin(labels, keep)
