"""Things that are dark like lung and are not: gas in the bowel, folds of blankets around the body."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
AIR_HU = -500


def smooth_noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random field of zero mean and unit variance with features of about ``cell`` pixels."""
    cells = (max(3, int(shape[0] / cell)), max(3, int(shape[1] / cell)))
    coarse = rng.standard_normal(cells, dtype=np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / (field.std() + 1e-6), dtype=np.float32)


def outside_body(hu: NDArray[np.int16]) -> Mask:
    """Air that the slice connects to its border."""
    labels, _ = ndimage.label(hu < AIR_HU)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.asarray(np.isin(labels, edge[edge > 0]))


def add_gas(hu: NDArray[np.int16], lung: Mask, rng: np.random.Generator) -> NDArray[np.int16]:
    """Puts one to six gas bubbles, some with walls or stool inside, into soft tissue away from the lungs.

    Args:
        hu: ``[row, column]``, Hounsfield units.
        lung: Mask of the lungs, same shape.
        rng: Source of chance.
    """
    size = hu.shape[0]
    tissue = ndimage.binary_erosion((hu > -200) & ~ndimage.binary_dilation(lung, iterations=3), iterations=size // 40)
    places = np.flatnonzero(tissue)
    if places.size < size:
        return hu
    out = hu.astype(np.float32)
    reach = ndimage.binary_dilation(tissue, iterations=size // 60)
    rows, columns = np.ogrid[:size, : hu.shape[1]]
    for _ in range(int(rng.integers(1, 7))):
        y, x = np.unravel_index(int(rng.choice(places)), hu.shape)
        radius = size * float(np.exp(rng.uniform(np.log(0.012), np.log(0.13))))
        tall = float(np.exp(rng.uniform(-0.6, 0.6)))
        distance = np.sqrt(((rows - y) * tall) ** 2 + ((columns - x) / tall) ** 2) / radius
        bubble = (distance + 0.25 * smooth_noise(hu.shape, max(4.0, radius), rng) < 1.0) & reach
        content = rng.uniform(-1010.0, -850.0) + rng.uniform(5.0, 30.0) * rng.standard_normal(hu.shape)
        if rng.random() < 0.5:
            walls = np.abs(smooth_noise(hu.shape, max(5.0, radius * 0.8), rng)) < rng.uniform(0.02, 0.2)
            content = np.where(walls, rng.uniform(-400.0, 20.0), content)
        soft = cv2.GaussianBlur(bubble.astype(np.float32), (0, 0), 0.7)
        out += soft * (content - out)
    return np.where(lung, hu, out).astype(np.int16)


def add_blankets(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Drapes folds of cloth, as faint curved lines and clouds, around the body."""
    around = outside_body(hu)
    if around.sum() < hu.size // 50:
        return hu
    near = around & (ndimage.distance_transform_edt(around) < hu.shape[0] * rng.uniform(0.05, 0.3))
    folds = smooth_noise(hu.shape, hu.shape[0] * rng.uniform(0.06, 0.2), rng)
    lines = np.abs(folds) < rng.uniform(0.02, 0.10)
    cloth = np.where(lines, rng.uniform(100.0, 700.0), rng.uniform(0.0, 120.0) * (folds > 0))
    soft = cv2.GaussianBlur((cloth * near).astype(np.float32), (0, 0), rng.uniform(0.6, 1.5))
    return np.asarray(np.where(around, hu + soft, hu), dtype=np.int16)
