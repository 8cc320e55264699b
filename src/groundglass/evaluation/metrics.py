"""Agreement of a segmentation with the truth, counted in voxels.

Two empty masks agree completely: every metric is 1. Where just one of them is empty, Dice, IoU, precision and recall
are 0. Accuracy counts the background too and needs no such rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError

Empty = Literal["neither", "prediction", "truth", "both"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Voxels of two masks, counted. Counts of slices add up to the count of their volume.

    Attributes:
        both: voxels in the prediction and in the truth (true positives).
        predicted: voxels in the prediction.
        truth: voxels in the truth.
        total: voxels of the image.
    """

    both: int
    predicted: int
    truth: int
    total: int

    def __add__(self, other: Overlap) -> Overlap:
        """Both counted together."""
        return Overlap(
            self.both + other.both,
            self.predicted + other.predicted,
            self.truth + other.truth,
            self.total + other.total,
        )

    @property
    def empty(self) -> Empty:
        """Which masks are empty: `neither`, `prediction`, `truth` or `both`."""
        if self.predicted and self.truth:
            return "neither"
        if self.predicted:
            return "truth"
        return "prediction" if self.truth else "both"

    @property
    def dice(self) -> float:
        """Dice coefficient 2|P∩T| / (|P| + |T|) (Dice 1945), 0..1."""
        return self._ratio(2 * self.both, self.predicted + self.truth)

    @property
    def iou(self) -> float:
        """Intersection over union |P∩T| / |P∪T| (Jaccard 1912), 0..1."""
        return self._ratio(self.both, self.predicted + self.truth - self.both)

    @property
    def precision(self) -> float:
        """Share of the prediction that is true, 0..1."""
        return self._ratio(self.both, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the truth that was found (sensitivity), 0..1."""
        return self._ratio(self.both, self.truth)

    @property
    def accuracy(self) -> float:
        """Share of all voxels that are called right, background included, 0..1; 1 for an image without voxels.

        It is close to 1 wherever the structure is small, whatever the prediction: compare nothing by it.
        """
        wrong = self.predicted + self.truth - 2 * self.both
        return 1.0 - wrong / self.total if self.total else 1.0

    @property
    def volume_error(self) -> float | None:
        """(|P| - |T|) / |T|, signed; 0 where both are empty, None where the truth alone is empty."""
        if self.truth == 0:
            return 0.0 if self.predicted == 0 else None
        return (self.predicted - self.truth) / self.truth

    def _ratio(self, part: int, whole: int) -> float:
        if self.predicted == 0 and self.truth == 0:
            return 1.0
        return part / whole if whole else 0.0


NOTHING = Overlap(0, 0, 0, 0)


def overlap(predicted: NDArray[Any], truth: NDArray[Any]) -> Overlap:
    """Count two masks of one shape, any value but 0 being inside.

    Raises:
        InvalidImageError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise InvalidImageError(
            f"the prediction has the shape {predicted.shape}, the truth {truth.shape}; expected the same grid"
        )
    inside, real = predicted.astype(bool, copy=False), truth.astype(bool, copy=False)
    return Overlap(
        both=int(np.count_nonzero(inside & real)),
        predicted=int(np.count_nonzero(inside)),
        truth=int(np.count_nonzero(real)),
        total=int(truth.size),
    )


def dice(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Dice coefficient of two masks of one shape, 0..1."""
    return overlap(predicted, truth).dice


def iou(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Intersection over union of two masks of one shape, 0..1."""
    return overlap(predicted, truth).iou


def precision(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Share of the prediction that is true, 0..1."""
    return overlap(predicted, truth).precision


def recall(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    """Share of the truth that was found, 0..1."""
    return overlap(predicted, truth).recall
