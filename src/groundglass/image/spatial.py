"""Grids of slices: padding to a square field of view, and which slices of a thin-slice scan to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 64
"""Side of the pictures that are compared, pixels."""
UNLIKE, ALIKE = 0.9, 0.98
"""Correlation of neighbouring pictures: up to the first they are strangers, from the second on hardly a slice apart.
Slices of a volume that follow each other have .90 to .997, slices of different patients up to .84."""
NEIGHBOUR = 0.6
"""Weight of a neighbour that is alike, the picture's own being 1."""


@dataclass(frozen=True)
class SquareField:
    """Padding that makes the field of view of a slice square in millimetres, and its undoing.

    A network sees every slice as a square of pixels. Without the padding, a slice of 350 x 200 mm would be stretched.

    Attributes:
        rows: rows of the slice.
        columns: columns of the slice.
        above: rows added above.
        below: rows added below.
        before: columns added on the left.
        after: columns added on the right.
    """

    rows: int
    columns: int
    above: int
    below: int
    before: int
    after: int

    @classmethod
    def of(cls, rows: int, columns: int, row_mm: float, column_mm: float) -> SquareField:
        """Padding for a slice of `rows` x `columns` pixels of `row_mm` x `column_mm` millimetres.

        Less than two percent of deviation is left as it is.
        """
        height, width = rows * row_mm, columns * column_mm
        if max(height, width) <= 1.02 * min(height, width):
            return cls(rows, columns, 0, 0, 0, 0)
        more_rows = max(0, round((width - height) / row_mm))
        more_columns = max(0, round((height - width) / column_mm))
        return cls(
            rows,
            columns,
            more_rows // 2,
            more_rows - more_rows // 2,
            more_columns // 2,
            more_columns - more_columns // 2,
        )

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns with the padding."""
        return self.above + self.rows + self.below, self.before + self.columns + self.after

    def pad(self, image: NDArray[Any], value: float) -> NDArray[Any]:
        """The slice (rows, columns) with `value` around it; the slice itself where nothing is added."""
        if self.padded_shape == image.shape:
            return image
        around = ((self.above, self.below), (self.before, self.after))
        return np.pad(image, around, constant_values=value)

    def crop(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part of a padded image (rows, columns) that is the slice (a view)."""
        return image[self.above : self.above + self.rows, self.before : self.before + self.columns]


def slices_to_look_at(count: int, spacing_mm: float, *, finest_mm: float = 1.6) -> list[int]:
    """Indices of the slices that a network needs to see; those between are interpolated.

    Lesions and lung borders do not change within 1.6 mm, so a scan of 0.8 mm slices needs every second one. The last
    slice is always among them.

    Args:
        count: number of slices.
        spacing_mm: distance between slices.
        finest_mm: largest distance at which a slice may be left out.
    """
    step = max(1, int(finest_mm / spacing_mm + 1e-6))
    seen = list(range(0, count, step))
    return seen if seen[-1] == count - 1 else [*seen, count - 1]


def fill_between(planes: NDArray[np.uint8], seen: list[int]) -> None:
    """Fill in place the planes [plane, row, column] that are not in `seen`, by linear interpolation."""
    for low, high in pairwise(seen):
        for plane in range(low + 1, high):
            weight = (plane - low) / (high - low)
            mixed = planes[low] * (1.0 - weight) + planes[high] * weight
            planes[plane] = np.rint(mixed)


def smooth_across(planes: NDArray[np.uint8], spacing_mm: float, *, sigma_mm: float = 1.5) -> None:
    """Smooth a stack of planes across the planes, in place: a Gaussian cut off after the nearest neighbours.

    A network that sees one slice at a time flickers from slice to slice; anatomy does not, at the distance of a slice.
    Slices that are far apart (5 mm) are left as they are.

    Args:
        planes: [plane, row, column].
        spacing_mm: distance between planes.
        sigma_mm: standard deviation of the Gaussian.
    """
    neighbour = float(np.exp(-0.5 * (spacing_mm / sigma_mm) ** 2))
    if neighbour < 0.01 or len(planes) < 2:
        return
    side, middle = neighbour / (1 + 2 * neighbour), 1 / (1 + 2 * neighbour)
    before = planes[0].copy()
    for index in range(len(planes)):
        after = planes[min(index + 1, len(planes) - 1)]
        own = planes[index].copy()
        around = cv2.addWeighted(before, 0.5, after, 0.5, 0.0)
        planes[index] = cv2.addWeighted(own, middle, around, 2 * side, 0.0)
        before = own


def smooth_alike(maps: Sequence[dict[str, NDArray[np.uint8]]], pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Smooth the maps of pictures that follow each other in a volume, in place.

    As `smooth_across`, for pictures, whose distance nobody knows: the more a picture looks like its neighbour, the more
    the neighbour counts. Pictures of different patients keep their own maps.

    Args:
        maps: of each picture, channel -> map [row, column].
        pictures: [row, column], in the order in which they may follow each other.
    """
    if len(pictures) < 2:
        return
    weights = [0.0, *_weights(pictures), 0.0]
    for channel in maps[0]:
        before = maps[0][channel]
        for index, (first, second) in enumerate(pairwise(weights)):
            own, after = maps[index][channel], maps[min(index + 1, len(maps) - 1)][channel]
            if first + second > 0.0:
                # A picture of another size has no weight, and could not be added.
                around = before if first else after
                if first and second:
                    around = cv2.addWeighted(before, first / (first + second), after, second / (first + second), 0.0)
                middle = 1.0 / (1.0 + first + second)
                maps[index][channel] = np.asarray(cv2.addWeighted(own, middle, around, 1.0 - middle, 0.0), np.uint8)
            before = own


def runs_alike(slices: Sequence[NDArray[np.uint8]]) -> list[range]:
    """Numbers of the slices that follow each other in a volume, one run per volume; see `smooth_alike`.

    Args:
        slices: [row, column], in the order in which they may follow each other.
    """
    ends = [place for place, weight in enumerate(_weights(slices), start=1) if weight == 0.0]
    return [range(start, end) for start, end in pairwise([0, *ends, len(slices)])] if slices else []


def _weights(slices: Sequence[NDArray[np.uint8]]) -> list[float]:
    """How much each slice and the next count for each other; 0 where both are of different sizes."""
    small = [_thumbnail(one) for one in slices]
    same = [one.shape == two.shape for one, two in pairwise(slices)]
    return [_weight(*two) if fits else 0.0 for fits, two in zip(same, pairwise(small), strict=True)]


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A small copy of a picture with mean 0 and length 1; zeros where it is of one grey."""
    small = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), dtype=np.float32)


def _weight(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """How much a neighbour counts, from the correlation of both pictures."""
    return NEIGHBOUR * min(1.0, max(0.0, (float(np.vdot(first, second)) - UNLIKE) / (ALIKE - UNLIKE)))
