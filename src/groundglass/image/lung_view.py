"""How a slice becomes the classifier's input: the part with the lungs, and what the segmentation found in it.

The same code in training and in inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from groundglass.image.prepare import finite_hu, resize, window_to_uint8

LUNG_WINDOW = (-1250.0, 250.0)
"""The HU shown black and white: the lung window of width 1500 and level -500."""
MARGIN = 0.05
SMALLEST_SHARE = 0.01
"""Share of a slice below which its lungs are too small to crop to."""
LUNG_LEVEL = 128
POSSIBLY_LUNG = (26, 229)
"""Probabilities, 0..255, from which on a pixel may be lung, and certainly is: a tenth and nine tenths."""
LARGEST_DOUBT = 0.45
"""Uncertain share of what may be lung above which photographs and drawings lie; below are all but 4 % of figures of
papers and all but 1 % of other axial CT slices."""
LONGEST_SIDE = 320
"""Pixels of the longer side of a slice beyond which the classifier sees no finer detail."""

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Box:
    """Rows `top` to below `bottom`, columns `left` to below `right`, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: NDArray[T]) -> NDArray[T]:
        """That part of an image (rows, columns)."""
        return image[self.top : self.bottom, self.left : self.right]


def shows_lungs(lung: NDArray[np.uint8]) -> bool:
    """Whether enough of a slice is lung to crop to it.

    Args:
        lung: probability of lung (rows, columns), 0..255.
    """
    return bool(np.count_nonzero(lung >= LUNG_LEVEL) >= SMALLEST_SHARE * lung.size)


def lung_doubt(lung: NDArray[np.uint8]) -> float:
    """How unsure the segmentation is of the lungs of a slice: the uncertain share of all that may be lung, 0..1.

    Lungs on an axial CT slice have a sharp edge, so only their outline is uncertain. What is dark in other pictures
    (photographs, drawings, other views) is half a lung to the network: uncertain all over.

    Args:
        lung: probability of lung (rows, columns), 0..255.
    """
    low, high = POSSIBLY_LUNG
    possible = np.count_nonzero(lung >= low)
    return 1.0 - np.count_nonzero(lung >= high) / possible if possible else 0.0


def lung_box(lung: NDArray[np.uint8], *, margin: float = MARGIN) -> Box:
    """The box around the lungs of a slice, a few stray pixels left out.

    Args:
        lung: probability of lung (rows, columns), 0..255.
        margin: space around them, as a share of the box's sides.

    Returns:
        The whole slice where it shows too little lung (`shows_lungs`).
    """
    rows, columns = lung.shape
    if not shows_lungs(lung):
        return Box(0, rows, 0, columns)
    inside = np.asarray(lung >= LUNG_LEVEL)
    per_row, per_column = np.count_nonzero(inside, axis=1), np.count_nonzero(inside, axis=0)
    (top, bottom), (left, right) = (_percentiles(counts, (0.5, 99.5)) for counts in (per_row, per_column))
    tall, wide = margin * (bottom - top + 1), margin * (right - left + 1)
    return Box(
        max(0, int(top - tall)),
        min(rows, int(np.ceil(bottom + 1 + tall))),
        max(0, int(left - wide)),
        min(columns, int(np.ceil(right + 1 + wide))),
    )


def _percentiles(counts: NDArray[np.integer], percents: tuple[float, float]) -> tuple[float, float]:
    """`np.percentile` of the numbers 0, 1, ..., each of them `counts` times."""
    below = np.cumsum(counts)
    low, high = (_percentile(below, percent) for percent in percents)
    return low, high


def _percentile(below: NDArray[np.integer], percent: float) -> float:
    place = percent / 100.0 * (int(below[-1]) - 1)
    first, second = np.searchsorted(below, (int(place), int(np.ceil(place))), side="right")
    return float(first + (second - first) * (place - int(place)))


def as_grey(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A slice as 8-bit grey: Hounsfield units through the lung window, 8-bit pictures as they are.

    Not-a-number counts as air.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    return window_to_uint8(finite_hu(image), *LUNG_WINDOW)


def classifier_view(
    image: NDArray[np.generic], lung: NDArray[np.uint8], infection: NDArray[np.uint8], *, size: int
) -> tuple[NDArray[np.uint8], Box]:
    """The classifier's view of a slice: grey, lung and infection, cropped to the lungs.

    Slices of more than `LONGEST_SIDE` pixels are shrunk first: how sharp a slice is tells its source, not its disease.

    Args:
        image: (rows, columns): 8-bit grey, or Hounsfield units.
        lung: probability of lung, 0..255, same shape.
        infection: probability of infection, 0..255, same shape; what lies outside the lungs is dropped.
        size: side of the view, pixels.

    Returns:
        uint8 (3, size, size), and the box of the slice that it shows.
    """
    box = lung_box(lung)
    grey, covered, infected = as_grey(box.of(image)), box.of(lung), box.of(infection)
    inside = np.where(covered >= LUNG_LEVEL, infected, np.uint8(0))
    scale = min(1.0, LONGEST_SIDE / max(image.shape))
    rows, columns = (max(1, round(side * scale)) for side in grey.shape)
    planes = [resize(resize(plane, rows, columns), size, size) for plane in (grey, covered, inside)]
    return np.stack(planes).astype(np.uint8), box
