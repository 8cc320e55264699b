"""Which pieces of the network's answer are lung."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import Stack, bridge_slices, components, ellipse, majority_along_slices
from groundglass.inference.airways import airways
from groundglass.inference.working_grid import WorkingGrid

MINIMUM_ISLAND_CM2 = 2.5
MINIMUM_ISLAND_ML = 10.0
"""A piece of lung is kept from 10 ml on, or, in a stack thinner than 4 cm, from 2.5 cm2 times its height on."""
MINIMUM_LUNGS_ML = 50.0
MINIMUM_LUNGS_CM2 = 12.0
"""Both lungs together must reach 50 ml, or, in a stack thinner than 4 cm, 12 cm2 times its height."""
GAS_HU = -960.0
"""Median HU below which a piece is gas in the bowel or outside the body; lung, even emphysema, is denser."""
MINIMUM_CONFIDENCE = 0.7
"""Mean probability that a piece must reach, as a share of 1."""
AERATED_HU = (-960.0, -300.0)
SMALL_PIECE_CM2 = 12.0
LEAST_AERATED_SHARE = 0.15
"""Share of a slice's lung that must hold air for its solid parts to count as consolidated lung."""
FRAME_SHARE = 0.3
"""A piece at the side of the field of view must have this share of the largest piece."""
THIN_MM = 3.0
MISSED_MM = 20.0
"""How far lung is grown into tissue of lung density that the network missed."""
MISSED_HU = (-950.0, -600.0)
MISSED_MM2 = 25.0
"""Least area of missed lung in a slice."""
TISSUE_HU = -200.0
FAT_HU = (-140.0, -50.0)
FAT_SPREAD_HU = 40.0
"""Largest standard deviation of even fat, noise included."""
WIDER_MM = 3.0
"""How much wider than in the neighbouring slice missed lung may be."""
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def lung_pieces(
    raw: Stack, coarse: NDArray[np.uint8], hu: NDArray[np.float32] | None, grid: WorkingGrid, middle: float
) -> Stack:
    """The network's answer without flicker, airways, islands, gas and organs.

    Args:
        raw: (z, y, x) what the network calls lung.
        coarse: its probability, 0..255.
        hu: Hounsfield units, or None.
        grid: the working grid.
        middle: column of the body's midline.

    Returns:
        Mask of the same shape, empty where there are no lungs.
    """
    mask = majority_along_slices(raw) if grid.spacing[2] <= THIN_MM else bridge_slices(raw)
    tubes = airways(hu, grid.spacing, middle) if hu is not None else np.zeros_like(mask)
    mask = mask & (1 - tubes)
    labels, sizes = components(mask)
    keep = sizes >= _smallest(grid, len(mask), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    keep[0] = False
    for label in np.flatnonzero(keep):
        inside = labels == label
        keep[label] = _is_lung(coarse[inside], hu[inside] if hu is not None else None)
    keep[_at_the_frame(labels) & (sizes < FRAME_SHARE * (sizes * keep).max())] = False
    mask = np.asarray(keep[labels], dtype=np.uint8)
    if hu is not None:
        mask = _without_organs(_without_fat(mask, hu), hu, grid)
        mask = _with_missed_air(mask, hu, tubes, grid)
    enough = np.count_nonzero(mask) >= _smallest(grid, len(mask), MINIMUM_LUNGS_ML, MINIMUM_LUNGS_CM2)
    return mask if enough else np.zeros_like(mask)


def _at_the_frame(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which components touch the side of the field of view: blankets and cushions do, lungs only if it is too small."""
    touching = np.zeros(int(labels.max()) + 1, dtype=bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        touching[np.unique(face)] = True
    return touching


def _is_lung(probability: NDArray[np.uint8], hu: NDArray[np.float32] | None) -> bool:
    if probability.mean() < 255.0 * MINIMUM_CONFIDENCE:
        return False
    return hu is None or float(np.median(hu)) > GAS_HU


def _without_fat(mask: Stack, hu: NDArray[np.float32]) -> Stack:
    """Drop even fat, as under the collar bone: on a lung window it is as grey as a lesion.

    Edges between lung and soft tissue have the density of fat too, but no 5x5 pixels of them are alike.
    """
    for z in np.flatnonzero(mask.max(axis=(1, 2))):
        mean = cv2.blur(hu[z], (5, 5))
        variance = cv2.blur(hu[z] * hu[z], (5, 5)) - mean * mean
        even = (mean > FAT_HU[0]) & (mean < FAT_HU[1]) & (variance < FAT_SPREAD_HU**2)
        fat = cv2.dilate(even.astype(np.uint8), np.ones((5, 5), np.uint8))
        if (mask[z] & fat).any():
            mask[z] &= 1 - fat
            # What is left around the fat is a thin rim, not lung.
            mask[z] &= cv2.morphologyEx(mask[z], cv2.MORPH_OPEN, ellipse(4, 4)) | (1 - cv2.dilate(fat, ellipse(5, 5)))
    return mask


def _without_organs(mask: Stack, hu: NDArray[np.float32], grid: WorkingGrid) -> Stack:
    """Drop what holds hardly any lung-like air in a slice: there the network took an organ or bowel for lung.

    A consolidated lobe has aerated lung beside it in the same slice, of the other lung at least, so solid tissue goes
    where the whole slice is solid, and otherwise only in small separate pieces.
    """
    aerated = mask & np.asarray((hu < AERATED_HU[1]) & (hu > AERATED_HU[0]), dtype=np.uint8)
    lung, air = mask.sum(axis=(1, 2)), aerated.sum(axis=(1, 2))
    for z in np.flatnonzero(lung):
        if air[z] < LEAST_AERATED_SHARE * lung[z]:
            mask[z] = aerated[z]
            continue
        count, labels = cv2.connectedComponents(mask[z], connectivity=4)
        if count > 2:
            sizes = np.bincount(labels.ravel())
            held = np.bincount(labels.ravel(), weights=aerated[z].ravel())
            organ = (held < LEAST_AERATED_SHARE * sizes) & (sizes * grid.pixel_mm2 < SMALL_PIECE_CM2 * 100.0)
            mask[z] &= ~organ[labels]
    return mask


def _with_missed_air(mask: Stack, hu: NDArray[np.float32], tubes: Stack, grid: WorkingGrid) -> Stack:
    """Grow into adjoining aerated lung that the network missed: the thin rim over the diaphragm, the apex, the base.

    Each slice is grown in its plane; then the slices above and below are entered where lung lies on lung, for as far
    as `MISSED_MM` beyond what the network saw.
    """
    seen = np.flatnonzero(mask.max(axis=(1, 2)))
    if not len(seen):
        return mask
    reach = int(MISSED_MM / grid.spacing[2])
    bottom, top = max(int(seen[0]) - reach, 0), min(int(seen[-1]) + reach, len(mask) - 1)
    aerated = np.zeros_like(mask)
    for z in range(bottom, top + 1):
        aerated[z] = _aerated(hu[z]) & (1 - tubes[z])
    for z in range(int(seen[0]), int(seen[-1]) + 1):
        _grow_in_plane(mask[z], aerated[z], grid)
    for above in range(int(seen[0]) + 1, top + 1):
        _enter(mask, aerated, above, above - 1, grid)
    for below in range(int(seen[-1]) - 1, bottom - 1, -1):
        _enter(mask, aerated, below, below + 1, grid)
    return mask


def _aerated(hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels of a slice inside the body with the density of aerated lung."""
    smooth = cv2.GaussianBlur(hu, (3, 3), 0.7)
    return np.asarray((smooth > MISSED_HU[0]) & (smooth < MISSED_HU[1]), dtype=np.uint8) & _body(hu)


def _grow_in_plane(mask: NDArray[np.uint8], aerated: NDArray[np.uint8], grid: WorkingGrid) -> None:
    """Grow the mask of a slice, in place, by up to `MISSED_MM` into aerated lung."""
    allowed, size = aerated | mask, -1
    for _ in range(round(MISSED_MM / min(grid.spacing[:2]))):
        mask[...] = cv2.dilate(mask, CROSS) & allowed
        before, size = size, int(np.count_nonzero(mask))
        if size == before:
            break


def _enter(mask: Stack, aerated: Stack, z: int, neighbour: int, grid: WorkingGrid) -> None:
    """Carry the lung of the neighbouring slice into slice `z`, in place, where broad aerated lung is missing there."""
    # The rim of gas in the bowel has the density of lung too, but is only a pixel or two wide.
    broad = cv2.morphologyEx(aerated[z], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    missing = mask[neighbour] & broad & (1 - mask[z])
    if np.count_nonzero(missing) * grid.pixel_mm2 >= MISSED_MM2:
        size = 2 * round(WIDER_MM / min(grid.spacing[:2])) + 1
        near = cv2.dilate(mask[neighbour], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        mask[z] |= near & broad


def _body(hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convex hull of the largest piece of soft tissue of a slice: blankets that touch the skin lie outside."""
    tissue = np.asarray(hu > TISSUE_HU, dtype=np.uint8)
    count, labels = cv2.connectedComponents(tissue, connectivity=4)
    hull = np.zeros_like(tissue)
    if count > 1:
        largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        # The hull of the outline is that of the piece, from a hundredth of the points.
        piece = np.asarray(labels == largest, dtype=np.uint8)
        outlines, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = cv2.convexHull(np.concatenate(outlines))
        cv2.fillConvexPoly(hull, outline, (1,))
    return hull


def _smallest(grid: WorkingGrid, slices: int, least_ml: float, least_cm2: float) -> float:
    """Smallest volume in voxels: `least_ml`, or `least_cm2` times the height in a thin stack."""
    height_cm = slices * grid.spacing[2] / 10.0
    return min(least_ml, least_cm2 * height_cm) / grid.voxel_ml


def without_crumbs(sides: Stack, grid: WorkingGrid) -> Stack:
    """Remove islands once more, now that the lungs are apart."""
    smallest = _smallest(grid, len(sides), MINIMUM_ISLAND_ML, MINIMUM_ISLAND_CM2)
    labels, sizes = components(sides)
    return np.asarray(sides * (sizes >= smallest)[labels], dtype=np.uint8)
