"""One labelled slice on its way from a data set to a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from groundglass.image.prepare import Kind

CHANNELS: tuple[str, ...] = ("lung", "infection", "consolidation")
LUNG, INFECTION, CONSOLIDATION = range(3)


@dataclass(frozen=True)
class Sample:
    """One slice with its labels and with what is known of them.

    Attributes:
        name: File or volume and slice, for logs.
        group: Volume or patient the slice belongs to; sampling and scores are by group.
        kind: ``"hu"`` (int16 or float32 Hounsfield units) or ``"picture"`` (uint8 grey).
        image: ``[row, column]`` in display orientation.
        masks: uint8 0/1, ``[channel, row, column]``, channels as in `CHANNELS`.
        known: uint8 0/1, ``[channel, row, column]``; 1 where the label may be learned from.
        healthy: Nothing in the slice is infected, so lesions may be pasted into it.
        belly: The slice lies at or below the domes of the diaphragm.
    """

    name: str
    group: str
    kind: Kind
    image: NDArray[np.generic]
    masks: NDArray[np.uint8]
    known: NDArray[np.uint8]
    healthy: bool = False
    belly: bool = False

    def with_image(self, image: NDArray[np.generic], kind: Kind | None = None) -> Sample:
        """The same labels beside another image of the same grid."""
        return replace(self, image=image, kind=kind or self.kind)


def unlabelled(image: NDArray[np.generic]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Empty masks and nothing known, for an image ``[row, column]``."""
    shape = (len(CHANNELS), *image.shape)
    return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
