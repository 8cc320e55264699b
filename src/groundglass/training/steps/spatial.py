"""Augmentations that move a slice: flips, turns, shifts, zoom, shear, crops to the lungs, elastic bending."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.training.sample import LUNG, Sample
from groundglass.training.steps.base import Chance, PixelStep, SpatialStep
from groundglass.training.steps.frame import Frame, border_value, turn

Range = tuple[float, float]
Box = tuple[float, float, float, float]
FEW_PIXELS = 200
"""A lung mask of fewer pixels is no ground for a crop."""


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """A factor between two others, evenly on a logarithmic scale."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Flip(SpatialStep):
    """Exchanges left and right, or top and bottom."""

    step: Literal["flip"] = "flip"
    chance: Chance = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        return frame.then(np.diag([-1.0, 1.0] if self.axis == "horizontal" else [1.0, -1.0]))


class QuarterTurn(SpatialStep):
    """Turns by 0, 90, 180 or 270 degrees, each as likely."""

    step: Literal["quarter-turn"] = "quarter-turn"

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        return frame.then(turn(90.0 * int(rng.integers(4))))


class Rotate(SpatialStep):
    """Rotates by up to ``degrees`` either way."""

    step: Literal["rotate"] = "rotate"
    degrees: float = 20.0

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        return frame.then(turn(rng.uniform(-self.degrees, self.degrees)))


class Shift(SpatialStep):
    """Shifts by up to a share of the side along both axes."""

    step: Literal["shift"] = "shift"
    share: float = 0.08

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        across, down = rng.uniform(-self.share, self.share, 2) * frame.size
        return frame.then(np.eye(2), (float(across), float(down)))


class Scale(SpatialStep):
    """Zooms by a factor of the range."""

    step: Literal["scale"] = "scale"
    factor: Range = (0.8, 1.25)

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        return frame.then(np.eye(2) * log_uniform(*self.factor, rng))


class Stretch(SpatialStep):
    """Widens one axis by up to a factor of exp(``aspect``) and narrows the other by as much."""

    step: Literal["stretch"] = "stretch"
    aspect: float = 0.15

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        factor = math.exp(rng.uniform(-self.aspect, self.aspect))
        return frame.then(np.diag([factor, 1.0 / factor]))


class Shear(SpatialStep):
    """Shears columns against rows by up to ``degrees`` either way."""

    step: Literal["shear"] = "shear"
    degrees: float = 8.0

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        slope = math.tan(math.radians(rng.uniform(-self.degrees, self.degrees)))
        return frame.then(np.array([[1.0, slope], [0.0, 1.0]]))


class RandomLungCrop(SpatialStep):
    """Sometimes crops to the lungs (unlabelled: to the centre); must be the first spatial step.

    Attributes:
        crop_chance: Chance of a crop.
        margin: Largest margin around the lungs on each side, as a share of their extent.
        crop_scale: Zoom after a crop.
        scale: Zoom, evenly on a logarithmic scale, where the slice is not cropped.
    """

    step: Literal["random-lung-crop"] = "random-lung-crop"
    crop_chance: Chance = 0.2
    margin: float = 0.08
    crop_scale: Range = (0.85, 1.1)
    scale: Range = (0.75, 1.35)

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        rows, columns = sample.image.shape
        if rng.random() < self.crop_chance:
            box = self._box(sample.masks[LUNG], (rows, columns), rng)
            return Frame.of_box(box, frame.size, rng.uniform(*self.crop_scale))
        whole = (0.0, 0.0, float(columns), float(rows))
        return Frame.of_box(whole, frame.size, log_uniform(*self.scale, rng))

    def _box(self, lungs: NDArray[np.uint8], shape: tuple[int, int], rng: np.random.Generator) -> Box:
        rows, columns = shape
        if lungs.sum() > FEW_PIXELS:
            left, top, right, bottom = mask_box(lungs)
        else:
            left, right, top, bottom = columns * 0.12, columns * 0.88, rows * 0.2, rows * 0.8
        # Slivers of lung at the base would be blown up beyond anything a picture shows.
        grow_x, grow_y = max(0.0, 0.45 * columns - (right - left)) / 2, max(0.0, 0.4 * rows - (bottom - top)) / 2
        left, right, top, bottom = left - grow_x, right + grow_x, top - grow_y, bottom + grow_y
        edges = rng.uniform(0.0, self.margin, 4) * np.array([right - left, bottom - top, right - left, bottom - top])
        return left - edges[0], top - edges[1], right + edges[2], bottom + edges[3]


def mask_box(mask: NDArray[np.generic]) -> Box:
    """The smallest box (left, top, right, bottom) around a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


class Elastic(PixelStep):
    """Bends the slice by a smooth random field (Simard et al. 2003), image and labels alike.

    Attributes:
        share: Standard deviation of the displacement, as a share of the side.
        smoothness: Size of the bumps, as a share of the side.
    """

    step: Literal["elastic"] = "elastic"
    chance: Chance = 0.3
    share: float = 0.012
    smoothness: float = 0.12

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice after the step."""
        from groundglass.training.clutter import smooth_noise

        rows, columns = sample.image.shape
        side = max(rows, columns)
        bends = [smooth_noise((rows, columns), self.smoothness * side, rng) * (self.share * side) for _ in range(2)]
        down, across = np.mgrid[:rows, :columns].astype(np.float32)
        maps = (across + bends[0]).astype(np.float32), (down + bends[1]).astype(np.float32)

        def bend(image: NDArray[np.generic], border: float) -> NDArray[np.float32]:
            value = (border,) * 4
            return np.asarray(
                cv2.remap(image.astype(np.float32), *maps, cv2.INTER_LINEAR, borderValue=value), np.float32
            )

        image: NDArray[np.generic] = bend(sample.image, border_value(sample))
        if sample.kind == "picture":
            image = np.asarray(np.rint(np.clip(image, 0, 255)), dtype=np.uint8)
        masks = np.stack([bend(mask * 255, 0.0) > 127.5 for mask in sample.masks]).astype(np.uint8)
        unknown = np.stack([bend((1 - known) * 255, 0.0) > 127.5 for known in sample.known]).astype(np.uint8)
        return replace(sample, image=image, masks=masks, known=1 - unknown)
