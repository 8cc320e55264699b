"""Augmentations in Hounsfield units that put things into a slice: lesions, blankets, gas."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from groundglass.training.clutter import add_blankets, add_gas
from groundglass.training.lesions import paste_lesions
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.steps.base import Chance, PixelStep


class HuStep(PixelStep):
    """An augmentation of Hounsfield units; a picture passes it unchanged."""

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice after the step."""
        return self.change(sample, rng) if sample.kind == "hu" else sample

    def change(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice in Hounsfield units after the step."""
        raise NotImplementedError


class Blankets(HuStep):
    """Drapes folds of cloth around the body."""

    step: Literal["blankets"] = "blankets"
    chance: Chance = 0.25

    def change(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice in Hounsfield units after the step."""
        return sample.with_image(add_blankets(np.asarray(sample.image, dtype=np.int16), rng))


class BowelGas(HuStep):
    """Puts gas into the belly of a healthy scan, where no lesion may hide under it."""

    step: Literal["bowel-gas"] = "bowel-gas"
    chance: Chance = 0.25

    def change(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice in Hounsfield units after the step."""
        if not (sample.healthy and sample.belly):
            return sample
        lung = sample.masks[LUNG].astype(bool)
        return sample.with_image(add_gas(np.asarray(sample.image, dtype=np.int16), lung, rng))


class Lesions(HuStep):
    """Pastes lesions of known outline; where the rest of the lung is unlabelled only their surroundings count."""

    step: Literal["lesions"] = "lesions"
    chance: Chance = 0.5

    def change(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice in Hounsfield units after the step."""
        if sample.masks[INFECTION].any():  # a real lesion is worth more than a drawn one
            return sample
        lung = sample.masks[LUNG].astype(bool)
        image, infection, solid = paste_lesions(np.asarray(sample.image, dtype=np.int16), lung, rng)
        masks, known = sample.masks.copy(), sample.known.copy()
        masks[INFECTION], masks[CONSOLIDATION] = infection, solid
        if not sample.healthy and infection.any():
            near = ndimage.binary_dilation(infection, iterations=4)
            known[INFECTION] |= near
            known[CONSOLIDATION] |= near
        return replace(sample, image=image, masks=masks, known=known)
