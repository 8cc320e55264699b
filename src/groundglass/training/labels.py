"""Lung labels for a healthy chest CT by thresholds and connectivity, for slices that no one has drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_HU = -450.0
AIRWAY_HU = -950.0
MINIMUM_LUNG_ML = 300.0


def _without_border(air: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Air that no slice connects, in its own plane, to the border of the picture."""
    inside = np.zeros_like(air)
    for index, plane in enumerate(air):
        labels, _ = ndimage.label(plane)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        inside[index] = plane & ~np.isin(labels, edge)
    return inside


def _airways(
    smooth: NDArray[np.float32], air: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """The trachea and main bronchi: the very black component that reaches highest and stays small."""
    labels, count = ndimage.label((smooth < AIRWAY_HU) & air)
    if not count:
        return np.zeros_like(air)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    volumes = np.bincount(labels.ravel())[1:] * voxel_ml
    tops = [where[0].start for where in ndimage.find_objects(labels)]
    trees = [(top, index + 1) for index, top in enumerate(tops) if 3.0 < volumes[index] < 150.0]
    if not trees:
        return np.zeros_like(air)
    tree = labels == min(trees)[1]
    return np.asarray(ndimage.binary_dilation(tree, iterations=2))


def classical_lungs(
    slices: NDArray[np.int16], spacing: tuple[float, float, float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Lungs of a healthy volume and where that label is not to be trusted.

    Args:
        slices: HU, ``[slice from the head, row, column]``.
        spacing: Millimetres along the same axes.

    Returns:
        Two masks of the same shape: the lungs with their vessels, without trachea and main bronchi; and the
        voxels where lung and airway wall meet, on which conventions differ.
    """
    smooth = ndimage.gaussian_filter(slices.astype(np.float32), (0.0, 0.7, 0.7))
    air = _without_border(smooth < AIR_HU)
    airways = _airways(smooth, air, spacing)
    labels, _ = ndimage.label(air & ~airways)
    volumes = np.bincount(labels.ravel()) * float(np.prod(spacing)) / 1000.0
    volumes[0] = 0.0
    lungs = np.isin(labels, np.flatnonzero(volumes > MINIMUM_LUNG_ML))
    closed = np.stack([_close(plane) for plane in lungs])
    return closed & ~airways, closed & airways


def _close(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Closes vessels: a closing of five pixels, then holes."""
    if not plane.any():
        return plane
    y, x = np.ogrid[-4:5, -4:5]
    padded = np.pad(plane, 6)
    closed = ndimage.binary_closing(padded, x * x + y * y <= 16)[6:-6, 6:-6]
    return np.asarray(ndimage.binary_fill_holes(closed))
