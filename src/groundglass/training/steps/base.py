"""What a step of preparation or augmentation is."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from groundglass.training.sample import Sample
from groundglass.training.steps.frame import Frame

Chance = Annotated[float, Field(ge=0.0, le=1.0)]


class Strict(BaseModel):
    """A record that does not change and knows every one of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreparationStep(Strict):
    """A step that every slice takes once, always in the same way; its result is cached."""

    step: str

    def apply(self, sample: Sample) -> Sample:
        """The slice after the step."""
        return sample

    def apply_volume(self, samples: list[Sample]) -> list[Sample]:
        """The slices of one volume, in order, after the step; by default each on its own."""
        return [self.apply(sample) for sample in samples]


class AugmentationStep(Strict):
    """A random step, drawn anew each time a slice is shown to the network.

    Attributes:
        step: Name of the step.
        chance: Chance that it is taken.
    """

    step: str
    chance: Chance = 1.0


class PixelStep(AugmentationStep):
    """An augmentation of the grey values; labels stay where they are."""

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice after the step."""
        raise NotImplementedError


class SpatialStep(AugmentationStep):
    """An augmentation that moves image and labels alike.

    Spatial steps that follow one another are joined into one affine map, so that a slice is interpolated once.
    """

    def move(self, frame: Frame, sample: Sample, rng: np.random.Generator) -> Frame:
        """The frame after the step."""
        raise NotImplementedError
