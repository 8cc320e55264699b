"""Synthetic lesions in Hounsfield units: ground-glass and consolidation of known outline in a healthy lung."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.training.clutter import smooth_noise

Plane = NDArray[np.float32]


def _shape(lung: NDArray[np.bool_], depth: Plane, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A ragged blob inside the lung, more often at its wall than at its centre."""
    weight = np.where(lung, np.exp(-depth / rng.uniform(6.0, 40.0)) + 0.02, 0.0).ravel()
    place = rng.choice(weight.size, p=weight / weight.sum())
    y, x = np.unravel_index(place, lung.shape)
    radius = lung.shape[0] * float(np.exp(rng.uniform(np.log(0.015), np.log(0.13))))
    rows, columns = np.ogrid[: lung.shape[0], : lung.shape[1]]
    tall = float(np.exp(rng.uniform(-0.5, 0.5)))
    distance = np.sqrt(((rows - y) * tall) ** 2 + ((columns - x) / tall) ** 2) / radius
    ragged = distance + 0.35 * smooth_noise(lung.shape, max(3.0, radius * 0.6), rng)
    return np.asarray((ragged < 1.0) & lung)


def paste_lesions(
    hu: NDArray[np.int16], lung: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.bool_]]:
    """Pastes one to five lesions into the lungs of a slice.

    Args:
        hu: ``[row, column]``, Hounsfield units.
        lung: Mask of the lungs, same shape.
        rng: Source of chance.

    Returns:
        The new slice, the mask of all lesions, and the mask of those that are consolidation.
    """
    infection, solid = np.zeros(lung.shape, bool), np.zeros(lung.shape, bool)
    out = hu.astype(np.float32)
    if lung.sum() < 400:
        return hu, infection, solid
    depth = np.asarray(ndimage.distance_transform_edt(lung), dtype=np.float32)
    for _ in range(int(rng.integers(1, 6))):
        blob = _shape(lung, depth, rng)
        consolidation = rng.random() < 0.3
        target = rng.uniform(-120.0, 60.0) if consolidation else rng.uniform(-720.0, -350.0)
        spread = rng.uniform(15.0, 60.0) if consolidation else rng.uniform(30.0, 130.0)
        texture = target + spread * smooth_noise(lung.shape, rng.uniform(2.5, 8.0), rng)
        soft = cv2.GaussianBlur(blob.astype(np.float32), (0, 0), rng.uniform(0.6, 2.0)) * lung
        grain = out - cv2.GaussianBlur(out, (0, 0), 2.0)
        lesion = texture + 0.5 * np.clip(grain, -80.0, 80.0)
        # Vessels stay visible: a lesion only ever adds density.
        out = np.where(lesion > out, out + soft * (lesion - out), out)
        infection |= blob
        solid |= blob & consolidation
    solid &= out > -300.0
    return out.astype(np.int16), infection, solid
