"""Takes slices through the steps of a preset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from groundglass.image.prepare import Preprocessing, equalise, window_to_uint8
from groundglass.training.sample import Sample
from groundglass.training.steps.base import AugmentationStep, PixelStep, PreparationStep, SpatialStep
from groundglass.training.steps.frame import Frame, place


def prepare(samples: list[Sample], steps: Sequence[PreparationStep]) -> list[Sample]:
    """The slices of one volume after all steps of preparation."""
    for step in steps:
        samples = step.apply_volume(samples)
    return samples


def augment(sample: Sample, steps: Sequence[AugmentationStep], size: int, rng: np.random.Generator) -> Sample:
    """One random view of a slice: a square of ``size`` pixels; every choice is drawn once for image and labels."""
    frame: Frame | None = None
    for step in steps:
        if rng.random() >= step.chance:
            continue
        if isinstance(step, SpatialStep):
            frame = step.move(frame or Frame.whole(sample.image.shape, size), sample, rng)
        elif isinstance(step, PixelStep):
            if frame is not None:
                sample, frame = place(sample, frame), None
            sample = step.apply(sample, rng)
    if frame is None and sample.image.shape != (size, size):
        frame = Frame.whole(sample.image.shape, size)
    return sample if frame is None else place(sample, frame)


def augment_in_stages(
    sample: Sample, steps: Sequence[AugmentationStep], size: int, rng: np.random.Generator
) -> Iterator[tuple[str, Sample]]:
    """The slice after each step that was taken, with the step's name; every step is taken whatever its chance."""
    for step in steps:
        if isinstance(step, SpatialStep):
            sample = place(sample, step.move(Frame.whole(sample.image.shape, size), sample, rng))
        elif isinstance(step, PixelStep):
            sample = step.apply(sample, rng)
        yield step.step, sample


def to_grey(sample: Sample, shown: Preprocessing) -> Sample:
    """A slice in Hounsfield units as the grey picture that the network is shown in use; a picture as it is."""
    if sample.kind == "picture":
        return sample
    low, high = shown.hu_windows[0]
    grey = window_to_uint8(sample.image, low, high)
    return sample.with_image(equalise(grey, shown.hu_clip, shown.tiles) if shown.hu_clip > 0 else grey, "picture")
