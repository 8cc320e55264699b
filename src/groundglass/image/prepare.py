"""How a slice becomes network input: the same code in training and in inference.

Slices are 2D arrays ``[row, column]`` in radiological display orientation: row 0 anterior, column 0 the patient's
right. They come as Hounsfield units or as 8-bit grey pictures, of any size, and leave as 8-bit squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Kind = Literal["hu", "picture"]
"""``"hu"``: Hounsfield units; ``"picture"``: 8-bit grey of unknown window, perhaps equalised already."""

COARSE = 160
"""Pixels. Slices with fewer are blurred where they are enlarged much, and gas in the bowel then looks like lung."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects to see; stored in its model card.

    A slice is shown to the network in one or more views, whose probabilities are averaged.

    Attributes:
        size: Side of the square network input, pixels. Slices are stretched to it.
        coarse_size: That side for slices of fewer than `COARSE` rows and columns; None shows them like all others.
        hu_windows: One view of an HU slice each: the HU shown black and the HU shown white.
        hu_clip: Clip limit of the contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of HU views.
        picture_clips: One view of a grey picture each: its clip limit; 0 leaves the picture as it is.
        picture_mirrored: Each view of a grey picture is shown a second time, left and right exchanged.
        tiles: Tiles of the equalisation along each side.
        lung_frame: Part of a slice that is shown: the ``"whole"``, or the box around its lungs, of each ``"slice"`` or
            common to the ``"volume"``. A slice without lungs is shown whole.
        lung_margin: Space around the lungs in that box, as a share of its sides.
        lungs_alone: What lies outside the lungs is shown black.
        zoom: Of a network that finds the lungs itself: so many times, at most, slices are enlarged to show little but
            their lungs and `lung_margin`, proportions kept; 1 shows them whole.
    """

    size: int = 256
    hu_windows: tuple[tuple[float, float], ...] = ((-1250.0, 250.0),)
    hu_clip: float = 7.0
    picture_clips: tuple[float, ...] = (0.0,)
    picture_mirrored: bool = True
    tiles: int = 8
    lung_frame: Literal["whole", "slice", "volume"] = "whole"
    lung_margin: float = 0.05
    lungs_alone: bool = False
    coarse_size: int | None = None
    zoom: float = 1.0

    def side_for(self, rows: int, columns: int) -> int:
        """Side of the network input for a slice of so many pixels."""
        if self.coarse_size is None or max(rows, columns) >= COARSE:
            return self.size
        return self.coarse_size

    @property
    def needs_lungs(self) -> bool:
        """Must the lungs be known before the network is shown a slice?"""
        return self.lung_frame != "whole" or self.lungs_alone

    def mirrored(self, kind: Kind) -> tuple[bool, ...]:
        """For each view of one slice of that kind, in order: is it mirrored?"""
        if kind == "hu":
            return (False,) * len(self.hu_windows)
        plain = (False,) * len(self.picture_clips)
        return plain + (True,) * len(plain) if self.picture_mirrored else plain


def finite_hu(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Hounsfield units as float32; not-a-number counts as air, infinity as the densest bone."""
    hu = np.asarray(image, dtype=np.float32)
    # Looking is an eighth of the work of replacing, and there is hardly ever anything to replace.
    return hu if np.isfinite(hu).all() else np.nan_to_num(hu, nan=-1024.0, posinf=3071.0, neginf=-1024.0)


def window_to_uint8(hu: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Maps Hounsfield units to grey 0..255: ``low`` and below to 0, ``high`` and above to 255."""
    if not high > low:
        raise ValueError(f"window of {low:g}..{high:g} HU found; expected the upper edge above the lower one")
    scaled = (np.asarray(hu, dtype=np.float32) - low) * (255.0 / (high - low))
    return np.asarray(np.rint(np.clip(scaled, 0.0, 255.0)), dtype=np.uint8)


def equalise(picture: NDArray[np.uint8], clip: float, tiles: int = 8) -> NDArray[np.uint8]:
    """Contrast-limited adaptive histogram equalisation of an 8-bit picture (OpenCV)."""
    clahe = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    return np.asarray(clahe.apply(np.ascontiguousarray(picture)), dtype=np.uint8)


def resize(image: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.generic]:
    """Resizes a 2D array: area averaging where it shrinks, bilinear where it grows."""
    if image.shape == (rows, columns):
        return image
    shrinks = rows * columns < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (columns, rows), interpolation=how))


def views(image: NDArray[np.generic], kind: Kind, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The views of one slice that the network is shown.

    Args:
        image: ``[row, column]`` in display orientation: Hounsfield units (any real type; not-a-number counts as
            air) or 8-bit grey.
        kind: Which of the two.
        preprocessing: How the network learned to see slices.

    Returns:
        uint8 ``[view, side, side]``, see `Preprocessing.side_for`.

    Raises:
        ValueError: ``image`` is not 2D, is empty, or a picture is not 8-bit.
    """
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"a slice of shape {image.shape} found; expected [row, column]")
    size, tiles = preprocessing.side_for(*image.shape), preprocessing.tiles
    if kind == "hu":
        hu = np.asarray(resize(finite_hu(image), size, size))
        shown = [window_to_uint8(hu, low, high) for low, high in preprocessing.hu_windows]
        clips = [preprocessing.hu_clip] * len(shown)
    else:
        if image.dtype != np.uint8:
            raise ValueError(f"a picture of type {image.dtype} found; expected 8-bit grey (uint8)")
        grey = np.asarray(resize(image, size, size), dtype=np.uint8)
        clips = list(preprocessing.picture_clips)
        shown = [grey] * len(clips)
    pairs = zip(shown, clips, strict=True)
    plain = np.stack([equalise(grey, clip, tiles) if clip > 0 else grey for grey, clip in pairs])
    return np.concatenate([plain, plain[:, :, ::-1]]) if any(preprocessing.mirrored(kind)) else plain
