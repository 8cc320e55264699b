"""Steps that every slice takes once, before it is cached: choice of slices, window, equalisation, crop, size."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from groundglass.image.prepare import equalise, resize, window_to_uint8
from groundglass.training.sample import CHANNELS, Sample
from groundglass.training.steps.base import Chance, PreparationStep
from groundglass.training.steps.lung_finding import DRAWN, find_lungs
from groundglass.training.steps.spatial import FEW_PIXELS, Box, mask_box

Channel = Literal["lung", "infection", "consolidation"]


class DropOuterSlices(PreparationStep):
    """Leaves out a share of the slices at either end of a volume."""

    step: Literal["drop-outer-slices"] = "drop-outer-slices"
    share: float = Field(default=0.25, ge=0.0, lt=0.5)

    def apply_volume(self, samples: list[Sample]) -> list[Sample]:
        """The slices of one volume, in order, after the step."""
        drop = int(len(samples) * self.share)
        return samples[drop : len(samples) - drop]


class DropEmptySlices(PreparationStep):
    """Leaves out slices in which a channel is known and has fewer than ``pixels`` pixels."""

    step: Literal["drop-empty-slices"] = "drop-empty-slices"
    channel: Channel = "lung"
    pixels: int = Field(default=1, ge=1)

    def apply_volume(self, samples: list[Sample]) -> list[Sample]:
        """The slices of one volume, in order, after the step."""
        index = CHANNELS.index(self.channel)
        return [
            sample
            for sample in samples
            if not sample.known[index].any() or int(sample.masks[index].sum()) >= self.pixels
        ]


class HuWindow(PreparationStep):
    """Shows Hounsfield units as 8-bit grey: ``low`` black, ``high`` white. A picture passes unchanged."""

    step: Literal["hu-window"] = "hu-window"
    low: float = -1250.0
    high: float = 250.0

    def apply(self, sample: Sample) -> Sample:
        """The slice after the step."""
        if sample.kind != "hu":
            return sample
        return sample.with_image(window_to_uint8(sample.image, self.low, self.high), "picture")


class Clahe(PreparationStep):
    """Contrast-limited adaptive histogram equalisation of a picture; Hounsfield units pass unchanged.

    Attributes:
        clip: Clip limit.
        tiles: Tiles along each side.
    """

    step: Literal["clahe"] = "clahe"
    clip: float = Field(default=3.0, gt=0.0)
    tiles: int = Field(default=8, ge=1)

    def apply(self, sample: Sample) -> Sample:
        """The slice after the step."""
        if sample.kind == "hu":
            return sample
        return sample.with_image(equalise(np.asarray(sample.image, dtype=np.uint8), self.clip, self.tiles))


class LungCrop(PreparationStep):
    """Crops to the lungs.

    Attributes:
        lungs: Where the lungs are taken from: the drawn ``mask``, the shipped ``network``, a ``classical`` method
            (thresholds and connectivity), or the place of another network (a run of ``lungs-bcdunet``).
        per: One box for each ``slice``, or the one that covers the lungs of the whole ``volume``.
        margin: Margin on every side, as a share of the extent of the lungs.
    """

    step: Literal["lung-crop"] = "lung-crop"
    lungs: str = DRAWN
    per: Literal["slice", "volume"] = "slice"
    margin: Chance = 0.05

    def apply_volume(self, samples: list[Sample]) -> list[Sample]:
        """The slices of one volume, in order, after the step; one without lungs stays whole."""
        found = find_lungs(samples, self.lungs)
        boxes = [mask_box(mask) if mask.sum() > FEW_PIXELS else None for mask in found]
        if self.per == "volume" and (known := [box for box in boxes if box is not None]):
            edges = np.array(known)
            common = (*edges[:, :2].min(axis=0).tolist(), *edges[:, 2:].max(axis=0).tolist())
            boxes = [common] * len(samples)
        return [sample if box is None else self._crop(sample, box) for sample, box in zip(samples, boxes, strict=True)]

    def _crop(self, sample: Sample, box: Box) -> Sample:
        left, top, right, bottom = box
        rows, columns = sample.image.shape
        x, y = self.margin * (right - left), self.margin * (bottom - top)
        across = slice(max(0, int(left - x)), min(columns, int(np.ceil(right + x))))
        down = slice(max(0, int(top - y)), min(rows, int(np.ceil(bottom + y))))
        return replace(
            sample,
            image=sample.image[down, across],
            masks=sample.masks[:, down, across],
            known=sample.known[:, down, across],
        )


class LungMultiply(PreparationStep):
    """Blackens what lies outside the lungs: the mask times the image."""

    step: Literal["lung-multiply"] = "lung-multiply"
    lungs: str = DRAWN

    def apply_volume(self, samples: list[Sample]) -> list[Sample]:
        """The slices of one volume, in order, after the step; one without lungs stays whole."""
        changed = []
        for sample, mask in zip(samples, find_lungs(samples, self.lungs), strict=True):
            outside = -1024 if sample.kind == "hu" else 0
            image = np.where(mask > 0, sample.image, outside).astype(sample.image.dtype) if mask.any() else sample.image
            changed.append(sample.with_image(image))
        return changed


class Resize(PreparationStep):
    """Stretches every slice to a square of ``size`` pixels."""

    step: Literal["resize"] = "resize"
    size: int = Field(default=256, ge=16, le=1024)

    def apply(self, sample: Sample) -> Sample:
        """The slice after the step."""
        if sample.image.shape == (self.size, self.size):
            return sample
        image = resize(sample.image, self.size, self.size)
        return replace(sample, image=image, masks=self._masks(sample.masks), known=1 - self._masks(1 - sample.known))

    def _masks(self, masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        sized = [resize(mask * 255, self.size, self.size).astype(np.float32) > 127.5 for mask in masks]
        return np.stack(sized).astype(np.uint8)
