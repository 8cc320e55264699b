"""Where the lungs of a volume's slices are: as drawn, as a network finds them, or classically."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.training.lung_network import CLASSICAL, lung_probabilities
from groundglass.training.sample import LUNG, Sample

DRAWN = "mask"
"""How presets name the drawn lungs."""
AIR_HU = -450.0
SMALLEST_SHARE = 0.004
"""Smallest piece of lung, as a share of the slice."""


def find_lungs(samples: list[Sample], source: str) -> list[NDArray[np.uint8]]:
    """Masks 0/1 ``[row, column]`` of the lungs of slices, which need not be of one size.

    Args:
        samples: The slices.
        source: ``"mask"`` as drawn, ``"classical"``, ``"network"`` for the shipped one, or the place of another.

    Raises:
        UnknownModelError: There is no network at that place.
        UnusableModelError: The network there does not find lungs in whole slices.
    """
    if source == DRAWN:
        return [sample.masks[LUNG] for sample in samples]
    if source == CLASSICAL:
        return [classical_mask(sample) for sample in samples]
    return [_by_network(sample, source) for sample in samples]


def classical_mask(sample: Sample) -> NDArray[np.uint8]:
    """Dark regions that the slice does not connect to its border, with holes filled.

    The threshold is -450 HU, or Otsu's (1979) in a picture.
    """
    if sample.kind == "hu":
        dark = ndimage.gaussian_filter(sample.image.astype(np.float32), 0.7) < AIR_HU
    else:
        grey = cv2.GaussianBlur(np.ascontiguousarray(sample.image, dtype=np.uint8), (0, 0), 1.0)
        level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        dark = grey < level
    labels, _ = ndimage.label(dark)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= SMALLEST_SHARE * dark.size
    keep[0] = False
    keep[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))] = False
    closed = ndimage.binary_closing(np.pad(keep[labels], 8), iterations=5)[8:-8, 8:-8]
    return np.asarray(ndimage.binary_fill_holes(closed), dtype=np.uint8)


def _by_network(sample: Sample, source: str) -> NDArray[np.uint8]:
    (found,) = lung_probabilities([sample.image], kind=sample.kind, source=source)
    return (found > 127).astype(np.uint8)
