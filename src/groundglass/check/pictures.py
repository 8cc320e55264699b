"""Checks of pictures: too small, empty, or not a CT slice."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.finding import Finding
from groundglass.image.lung_view import LARGEST_DOUBT, lung_doubt, shows_lungs
from groundglass.volume import PictureSet, Slice2D

SMALL_PIXELS = 96
FLAT_LEVELS = 4.0
"""Spread between the 2nd and the 98th percentile below which a picture shows nothing."""
MOST_NOISE_CORRELATION = 0.4
LONG_SIDE = 2.2
NAMED = 3
STEEP_SHARE = 0.016
"""Share of steps of 0.4 of the grey range within 3 % of the picture that a CT slice exceeds."""


def check_pictures(pictures: PictureSet) -> list[Finding]:
    """Findings on a set of pictures; each names the pictures that it is about."""
    found: dict[str, list[str]] = {}
    for picture in pictures.slices:
        code = _judge(picture)
        if code:
            found.setdefault(code, []).append(picture.name)
    return [_REPORTS[code](_names(names, len(pictures.slices))) for code, names in found.items()]


def check_picture_lungs(pictures: PictureSet, lungs: Sequence[NDArray[np.uint8]]) -> list[Finding]:
    """Finding on pictures in which the network is unsure of most that may be lung.

    Args:
        pictures: the pictures.
        lungs: probability of lung (rows, columns) in each, 0..255.
    """
    pairs = zip(pictures.slices, lungs, strict=True)
    unsure = [one.name for one, lung in pairs if shows_lungs(lung) and lung_doubt(lung) > LARGEST_DOUBT]
    return [_uncertain(_names(unsure, len(pictures.slices)))] if unsure else []


def _judge(picture: Slice2D) -> str | None:
    """Code of the first fault of a picture."""
    pixels = picture.pixels
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 256), :: max(1, pixels.shape[1] // 256)], (2, 98))
    if high - low < FLAT_LEVELS:
        return "picture-blank"
    if min(pixels.shape) < SMALL_PIXELS:
        return "picture-small"
    if _is_noise(pixels):
        return "picture-noise"
    if max(pixels.shape) > LONG_SIDE * min(pixels.shape):
        return "picture-shape"
    return "picture-projection" if _looks_projected(pixels) else None


def _is_noise(pixels: NDArray[np.uint8]) -> bool:
    plane = pixels.astype(np.float64)
    return bool(np.corrcoef(plane[:, 1:].ravel(), plane[:, :-1].ravel())[0, 1] < MOST_NOISE_CORRELATION)


def _looks_projected(pixels: NDArray[np.uint8]) -> bool:
    """Whether the picture is as smooth as a radiograph: no sharp edge between lung and chest wall.

    A CT slice shows air beside soft tissue, a step of half the grey range within a few pixels over a long way. In a
    radiograph everything overlaps everything, and such steps are rare.
    """
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    smooth = np.asarray(cv2.GaussianBlur(small, (3, 3), 0.8), dtype=np.float32)
    low, high = np.percentile(smooth, (2, 98))
    reach = 4
    across = np.abs(smooth[:, reach:] - smooth[:, :-reach])[8:-8, 8:-8]
    down = np.abs(smooth[reach:] - smooth[:-reach])[8:-8, 8:-8]
    steep = (np.count_nonzero(across > 0.4 * (high - low)) + np.count_nonzero(down > 0.4 * (high - low))) / (
        across.size + down.size
    )
    return bool(steep < STEEP_SHARE)


def _names(names: list[str], total: int) -> str:
    if total == 1:
        return "The picture"
    listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"{len(names)} of {total} pictures ({listed})"


def _blank(which: str) -> Finding:
    return Finding(
        code="picture-blank",
        severity="error",
        text=f"{which}: nothing to see, all pixels are (nearly) equal.",
        action="Export the slice again with a lung window.",
    )


def _small(which: str) -> Finding:
    return Finding(
        code="picture-small",
        severity="warning",
        text=f"{which}: fewer than {SMALL_PIXELS} pixels along a side; the network expects 256 or more.",
        action="Use the slice at its original size.",
    )


def _noise(which: str) -> Finding:
    return Finding(
        code="picture-noise",
        severity="error",
        text=f"{which}: neighbouring pixels have nothing to do with one another; this is noise.",
        action="Check how the picture was made.",
    )


def _shape(which: str) -> Finding:
    return Finding(
        code="picture-shape",
        severity="warning",
        text=f"{which}: more than twice as long as wide, unlike an axial slice; perhaps several slices in one.",
        action="Give one axial slice per picture.",
    )


def _uncertain(which: str) -> Finding:
    return Finding(
        code="lungs-uncertain",
        severity="warning",
        text=f"{which}: most of what may be lung is uncertain, so the numbers mean little; perhaps no axial slice of a "
        "chest (a photograph, a drawing, another view), or not shown in a lung window.",
        action="Look at the lung outlines; give axial CT slices with a lung window.",
    )


def _projection(which: str) -> Finding:
    return Finding(
        code="picture-projection",
        severity="warning",
        text=f"{which}: no sharp edge between lung and chest wall, as a CT slice has; perhaps a radiograph (X-ray).",
        action="Give axial CT slices with a lung window; radiographs cannot be analyzed.",
    )


_REPORTS = {
    "picture-blank": _blank,
    "picture-small": _small,
    "picture-noise": _noise,
    "picture-shape": _shape,
    "picture-projection": _projection,
}
