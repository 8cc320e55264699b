"""Preparation and augmentation as declared, ordered steps.

`Preparation` and `Augmentation` are what a preset may list; each is named by its ``step``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from groundglass.training.steps import pixels, preparation, spatial, synthetic

Preparation = Annotated[
    preparation.DropOuterSlices
    | preparation.DropEmptySlices
    | preparation.HuWindow
    | preparation.Clahe
    | preparation.LungCrop
    | preparation.LungMultiply
    | preparation.Resize,
    Field(discriminator="step"),
]
Augmentation = Annotated[
    spatial.Flip
    | spatial.QuarterTurn
    | spatial.Rotate
    | spatial.Shift
    | spatial.Scale
    | spatial.Stretch
    | spatial.Shear
    | spatial.RandomLungCrop
    | spatial.Elastic
    | pixels.WindowJitter
    | pixels.Equalise
    | pixels.Blur
    | pixels.Gamma
    | pixels.Contrast
    | pixels.Noise
    | pixels.Jpeg
    | synthetic.Blankets
    | synthetic.BowelGas
    | synthetic.Lesions,
    Field(discriminator="step"),
]
