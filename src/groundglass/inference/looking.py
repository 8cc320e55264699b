"""Which slices of a scan a network is shown: those near the lungs, found by a coarse first look.

A scan of the whole body has several times as many slices as the lungs. What is far from any lung can be left out; the
lungs are higher than the distance of the first look, so none is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from groundglass.inference.lung_pieces import MISSED_MM
from groundglass.inference.zoom import Maps, mean_of_looks

FIRST_LOOK_MM = 12.0
"""Largest distance of the slices of the first look."""
REACH_MM = MISSED_MM
"""How far from a slice with lung everything is looked at: as far as lung is grown beyond what a network saw."""
LEAST_PROBABILITY = 64
"""Stored probability (0..255) from which a pixel may be lung: a quarter, well below the thresholds in use."""
LEAST_SHARE = 1e-3
"""Share of a slice that must be such pixels: about a square centimetre. Any slice of lung but its tip has more."""

Look = Callable[[list[int]], Iterator[Maps]]
Nearer = Callable[[Maps], Look | None]


def may_show_lung(probability: NDArray[np.uint8]) -> bool:
    """Whether a slice may show lung.

    Args:
        probability: of lung (row, column), 0..255.
    """
    return bool(np.count_nonzero(probability >= LEAST_PROBABILITY) >= LEAST_SHARE * probability.size)


def near_lungs(slices: Sequence[int], spacing_mm: float, with_lung: Sequence[int]) -> list[int]:
    """Those of the slices that lie within `REACH_MM` of one with lung.

    Args:
        slices: numbers of slices, ascending.
        spacing_mm: distance between neighbouring numbers.
        with_lung: numbers of slices that may show lung.
    """
    places, lungs, reach = np.asarray(slices), np.sort(with_lung), _steps(REACH_MM, spacing_mm)
    near = np.searchsorted(lungs, places - reach) < np.searchsorted(lungs, places + reach, side="right")
    return [int(place) for place in places[near]]


def look_near_lungs(
    slices: Sequence[int], spacing_mm: float, look: Look, lung_channel: int, *, nearer: Nearer | None = None
) -> Iterator[tuple[int, Maps]]:
    """Look at every few slices first, then at all within `REACH_MM` of one that may show lung.

    Where lung turns up at the border of what was looked at, the search goes on beyond it.

    Args:
        slices: numbers of the slices that may be looked at, ascending.
        spacing_mm: distance between neighbouring numbers.
        look: gives the network's maps of each of some slices, in order.
        lung_channel: place of the lung among the maps.
        nearer: gives, from the lungs of the first look, a look that shows them larger, from then on; or None. The
            slices of the first look then get the mean of both.

    Yields:
        Number and maps of each slice that was looked at, none twice, in no order.
    """
    left = list(slices)
    with_lung: list[int] = []
    part = _first_look(left, _steps(FIRST_LOOK_MM, spacing_mm))
    found: Iterable[Maps] = look(part)
    if nearer is not None:
        found = list(found)
        if (closer := nearer([maps[lung_channel] for maps in found])) is not None:
            look = closer
            found = map(mean_of_looks, found, look(part))
    while part:
        for number, maps in zip(part, found, strict=True):
            if may_show_lung(maps[lung_channel]):
                with_lung.append(number)
            yield number, maps
        done = set(part)
        left = [number for number in left if number not in done]
        part = near_lungs(left, spacing_mm, with_lung)
        found = look(part)


def _steps(distance_mm: float, spacing_mm: float) -> int:
    return int(distance_mm / spacing_mm + 1e-6)


def _first_look(slices: Sequence[int], most: int) -> list[int]:
    """The first and the last slice, and between them as few as leave no gap wider than `most` numbers."""
    chosen: list[int] = []
    for place, number in enumerate(slices):
        last = place == len(slices) - 1
        if not chosen or last or slices[place + 1] - chosen[-1] > most:
            chosen.append(number)
    return chosen
