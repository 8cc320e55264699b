"""How near to the lungs a network is shown the slices of a volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.lung_view import Box, as_grey, lung_box, shows_lungs
from groundglass.image.prepare import COARSE, Kind, Preprocessing
from groundglass.image.spatial import runs_alike
from groundglass.inference.segment import SliceSegmenter

Maps = list[NDArray[np.uint8]]
"""Probabilities (row, column) of a slice, 0..255, one map per channel."""
LOOKED_AT = 8
"""Pictures of a volume, about, that say where its lungs are."""
LEAST_ZOOM = 1.04
"""Zoom below which a slice is shown whole."""


def zoom_box(lungs: Iterable[NDArray[np.uint8]], rows: int, columns: int, recipe: Preprocessing) -> Box | None:
    """The part of slices that a network is shown: around all lungs, with the proportions of the slice.

    A network that has learned from lungs of one size in its input finds less of the infection in smaller ones. What
    lies around the lungs says little, so it is left out instead of the input being enlarged.

    Args:
        lungs: probability of lung in some of the slices, 0..255, on any grid that covers the slice.
        rows: of the slices.
        columns: of the slices.
        recipe: the largest zoom, and the margin around the lungs.

    Returns:
        None where the slices are shown whole: no lungs, lungs that fill them, or slices too coarse to be enlarged.
    """
    parts = [_part(lung, recipe.lung_margin) for lung in lungs if shows_lungs(lung)]
    if not parts:
        return None
    tops, bottoms, lefts, rights = zip(*parts, strict=True)
    top, bottom, left, right = min(tops), max(bottoms), min(lefts), max(rights)
    zoom = min(1 / (bottom - top), 1 / (right - left), recipe.zoom, max(rows, columns) / COARSE)
    if zoom < LEAST_ZOOM:
        return None
    return Box(*_span((top + bottom) / 2, rows, zoom), *_span((left + right) / 2, columns, zoom))


def _part(lung: NDArray[np.uint8], margin: float) -> tuple[float, float, float, float]:
    """The box around the lungs, as shares of the slice."""
    box = lung_box(lung, margin=margin)
    rows, columns = lung.shape
    return box.top / rows, box.bottom / rows, box.left / columns, box.right / columns


def _span(middle: float, length: int, zoom: float) -> tuple[int, int]:
    """First pixel and end of a part of a side."""
    shown = round(length / zoom)
    start = min(max(round(middle * length - shown / 2), 0), length - shown)
    return start, start + shown


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What a look at some whole slices says.

    Attributes:
        boxes: the part of each slice that the network is shown next; None for the whole slice.
        found: number of a slice that was looked at -> its probabilities, uint8 (channel, size, size).
    """

    boxes: list[Box | None]
    found: dict[int, NDArray[np.uint8]]

    def another(self, number: int) -> bool:
        """Whether the slice needs a look beside the first one."""
        return self.boxes[number] is not None or number not in self.found


def look_first(images: Sequence[NDArray[np.generic]], kind: Kind, segmenter: SliceSegmenter) -> FirstLook:
    """Look at a few slices of each volume to see where its lungs are; all slices of a volume share a box.

    Args:
        images: (rows, columns) each, in the order in which they may follow each other.
        kind: Hounsfield units or pictures.
        segmenter: the network.
    """
    recipe, channels = segmenter.card.preprocessing, segmenter.card.channels
    if recipe.zoom <= 1.0 or recipe.needs_lungs or "lung" not in channels:
        return FirstLook([None] * len(images), {})
    # As pictures: what scanners store around their field of view would make all slices in Hounsfield units alike.
    grey = [as_grey(image) for image in images]
    runs = [(run, run[:: max(1, len(run) // LOOKED_AT)]) for run in runs_alike(grey)]
    numbers = [number for _, some in runs for number in some]
    found = dict(zip(numbers, segmenter.stream((images[number] for number in numbers), kind=kind), strict=True))
    boxes: list[Box | None] = []
    for run, some in runs:
        rows, columns = images[run[0]].shape
        lungs = (found[number][channels.index("lung")] for number in some)
        boxes += [zoom_box(lungs, rows, columns, recipe)] * len(run)
    return FirstLook(boxes, found)


def mean_of_looks(first: Maps, second: Maps | None = None) -> Maps:
    """Channel by channel the mean of two looks at a slice: better than either, where both are there anyway.

    Args:
        first: probabilities (row, column) of each channel, 0..255.
        second: the same of the second look; None where there was none.
    """
    if second is None:
        return first
    pairs = zip(first, second, strict=True)
    return [np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0.0), np.uint8) for one, other in pairs]
