"""The five stages of a slice that classifiers are compared on, from the whole picture to the lungs alone.

`original`, `background-removed`, `lungs-cropped`, `lungs-masked`, `lungs-masked-uncropped`. Lungs come from whatever
finds them: a network, or `classical_lungs`.
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.image.lung_view import Box, lung_box
from groundglass.image.morphology import bounding_box, close_plane, components, ellipse, holes_plane

Stage = Literal["original", "background-removed", "lungs-cropped", "lungs-masked", "lungs-masked-uncropped"]
STAGES: tuple[Stage, ...] = get_args(Stage)
WHOLE_SLICE: frozenset[Stage] = frozenset({"original", "background-removed"})
"""Stages that need no lungs."""
CROPPED: frozenset[Stage] = frozenset({"lungs-cropped", "lungs-masked"})

Grey = NDArray[np.uint8]

SMALLEST_BODY_SHARE = 0.05
SOLID_SHARE = 0.5
"""Share of the bright pixels' box below which the largest piece is an organ of a tight crop, not the patient."""
SMALLEST_LUNG_SHARE = 0.004
"""Share of a picture below which a dark hole of the body is no lung."""
LUNGS_AT_MOST = 2
CLOSING_SHARE = 0.015
DARKEST_SHARE = 0.85
"""Share of the body's own grey, between lung and soft tissue, above which a pixel is never lung."""


def patient_mask(grey: Grey) -> Grey:
    """The patient without table, blankets and what is written beside him.

    Otsu's threshold (Otsu 1979), the largest bright piece after an opening, its holes filled.

    Args:
        grey: picture (rows, columns).

    Returns:
        uint8 (rows, columns) of 0 and 1; all 1 where no body stands out (a picture cropped to the lungs).
    """
    smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), dtype=np.uint8)
    _, bright = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    radius = max(1.0, 0.01 * max(grey.shape))
    opened = np.asarray(cv2.morphologyEx(bright, cv2.MORPH_OPEN, ellipse(radius, radius)), dtype=np.uint8)
    labels, sizes = components(opened, connectivity=4)
    if len(sizes) < 2 or sizes[1:].max() < SMALLEST_BODY_SHARE * grey.size:
        return np.ones(grey.shape, np.uint8)
    body = np.asarray(labels == 1 + int(sizes[1:].argmax()), dtype=np.uint8)
    # A crop at the chest wall opens the lungs to the border; the wall is closed there before holes are filled.
    closed = close_plane(body, ellipse(3 * radius, 3 * radius))
    filled = np.asarray(closed | holes_plane(closed), dtype=np.uint8)
    extent = bounding_box(opened)
    if extent is not None and filled.sum() < SOLID_SHARE * filled[extent].size:
        return np.ones(grey.shape, np.uint8)
    return filled


def classical_lungs(grey: Grey) -> Grey:
    """The lungs of a picture without a network: the large dark holes of the body.

    Args:
        grey: picture (rows, columns) in a lung window; the body brighter than the lungs.

    Returns:
        uint8 (rows, columns) of 0 and 255; all zero where nothing looks like a lung.
    """
    body = patient_mask(grey)
    inside = grey[body > 0]
    level, _ = cv2.threshold(inside.reshape(1, -1), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    level = min(float(level), DARKEST_SHARE * float(np.percentile(inside, 95)))
    dark = np.asarray((grey <= level) & (body > 0), dtype=np.uint8)
    dark = np.asarray(cv2.morphologyEx(dark, cv2.MORPH_OPEN, ellipse(1, 1)), dtype=np.uint8)
    labels, sizes = components(_without_border(dark, body), connectivity=4)
    order = 1 + np.argsort(sizes[1:])[::-1][:LUNGS_AT_MOST] if len(sizes) > 1 else np.zeros(0, int)
    kept = np.isin(labels, [int(i) for i in order if sizes[i] >= SMALLEST_LUNG_SHARE * grey.size]).astype(np.uint8)
    radius = CLOSING_SHARE * max(grey.shape)
    closed = close_plane(kept, ellipse(radius, radius))
    return np.asarray((closed | holes_plane(closed)) * np.uint8(255), dtype=np.uint8)


def _without_border(dark: Grey, body: Grey) -> Grey:
    """Without the pieces that reach the picture's border: air beside the patient that the body's mask let in.

    Where the whole picture counts as body, it is a crop to the lungs and they may touch its border.
    """
    if body.all():
        return dark
    labels, sizes = components(dark, connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    keep = np.ones(len(sizes), np.uint8)
    keep[edge] = 0
    keep[0] = 0
    return np.asarray(keep[labels], dtype=np.uint8)


def at_stage(grey: Grey, stage: Stage, lungs: Grey | None = None) -> Grey:
    """A picture at one of the five stages.

    Args:
        grey: picture (rows, columns).
        stage: one of `STAGES`.
        lungs: probability or mask of the lungs, 0..255, same shape; `classical_lungs` when None.

    Returns:
        uint8 picture; smaller than `grey` for the cropped stages. What is left out is black. Where there are no lungs
        the cropped stages show the whole picture, and the masked ones are black.

    Raises:
        InvalidImageError: the lungs are of another size, or there is no such stage.
    """
    if stage not in STAGES:
        raise InvalidImageError(f"no image stage {stage!r}; expected one of {', '.join(STAGES)}")
    if stage == "original":
        return grey
    if stage == "background-removed":
        return grey * patient_mask(grey)
    mask = classical_lungs(grey) if lungs is None else lungs
    if mask.shape != grey.shape:
        raise InvalidImageError(f"lungs of shape {mask.shape} for a picture of {grey.shape}; expected the same")
    shown = grey if stage == "lungs-cropped" else np.where(mask >= 128, grey, np.uint8(0))
    return np.asarray(stage_box(stage, mask).of(shown), dtype=np.uint8)


def stage_box(stage: Stage, lungs: Grey) -> Box:
    """The part of a picture that a stage shows.

    Args:
        stage: one of `STAGES`.
        lungs: as for `at_stage`, of the shape of the picture.
    """
    return lung_box(lungs) if stage in CROPPED else Box(0, lungs.shape[0], 0, lungs.shape[1])


def all_stages(grey: Grey, lungs: Grey | None = None) -> dict[Stage, Grey]:
    """A picture at every stage, in the order of `STAGES`; arguments as in `at_stage`."""
    mask = classical_lungs(grey) if lungs is None else lungs
    return {stage: at_stage(grey, stage, mask) for stage in STAGES}
