"""Augmentations of the grey values: window, contrast, blur, noise, compression."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.prepare import equalise, window_to_uint8
from groundglass.training.sample import Sample
from groundglass.training.steps.base import Chance, PixelStep
from groundglass.training.steps.spatial import Range

Grey = NDArray[np.uint8]


def grey_of(sample: Sample) -> Grey:
    """The picture of a sample as 8-bit grey."""
    return np.asarray(np.rint(np.clip(sample.image.astype(np.float32), 0, 255)), dtype=np.uint8)


class GreyStep(PixelStep):
    """An augmentation of 8-bit grey; Hounsfield units pass it unchanged."""

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice after the step."""
        return sample if sample.kind == "hu" else sample.with_image(self.change(grey_of(sample), rng))

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        raise NotImplementedError


class WindowJitter(PixelStep):
    """Shows Hounsfield units as grey the way scans are shown, with random settings; a picture passes unchanged.

    Attributes:
        noise_chance: Chance of noise before the window.
        noise: Its largest standard deviation, HU.
        low: Range of the HU shown black.
        high: Range of the HU shown white, taken in half of the cases.
        high_wide: The same, in the other half.
        plain_chance: Chance that the slice is only windowed, not equalised.
        clip: Range of the clip limit of the equalisation (CLAHE).
    """

    step: Literal["window-jitter"] = "window-jitter"
    noise_chance: Chance = 0.3
    noise: float = 80.0
    low: Range = (-1250.0, -1000.0)
    high: Range = (150.0, 500.0)
    high_wide: Range = (200.0, 1600.0)
    plain_chance: Chance = 0.2
    clip: Range = (4.0, 9.0)

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The slice after the step."""
        if sample.kind != "hu":
            return sample
        hu = sample.image.astype(np.float32)
        if rng.random() < self.noise_chance:
            hu = hu + self._grain(hu.shape, rng)
        low = rng.uniform(*self.low)
        high = float(rng.choice([rng.uniform(*self.high), rng.uniform(*self.high_wide)]))
        if rng.random() < self.plain_chance:
            if rng.random() < 0.4:  # the windows of lung on paper and on screens
                low, high = rng.uniform(-1400.0, -1050.0), rng.uniform(50.0, 300.0)
            return sample.with_image(window_to_uint8(hu, low, high), "picture")
        return sample.with_image(equalise(window_to_uint8(hu, low, high), float(rng.uniform(*self.clip))), "picture")

    def _grain(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        grain = rng.standard_normal(shape, dtype=np.float32)
        if rng.random() < 0.5:  # noise of a soft reconstruction kernel is smooth
            grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8)) * np.float32(2.0)
        return np.asarray(grain * np.float32(self.noise * rng.random() ** 2))


class Equalise(GreyStep):
    """Equalises a picture (CLAHE), half of the time with the usual clip limit."""

    step: Literal["equalise"] = "equalise"
    chance: Chance = 0.5
    usual: float = 7.0
    clip: Range = (1.5, 8.0)

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        return equalise(grey, float(rng.choice([self.usual, rng.uniform(*self.clip)])))


class Blur(GreyStep):
    """Lowers the resolution, or else blurs.

    Attributes:
        coarse_chance: Chance of a lower resolution.
        coarse: Range of the share of pixels per side that remain.
        blur_chance: Chance of a Gaussian blur where the resolution stays.
        sigma: Its range, pixels.
    """

    step: Literal["blur"] = "blur"
    coarse_chance: Chance = 0.15
    coarse: Range = (0.45, 0.9)
    blur_chance: Chance = 0.2
    sigma: Range = (0.4, 1.1)

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        rows, columns = grey.shape
        if rng.random() < self.coarse_chance:
            share = rng.uniform(*self.coarse)
            small = cv2.resize(grey, (int(columns * share), int(rows * share)), interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.resize(small, (columns, rows)), dtype=np.uint8)
        if rng.random() < self.blur_chance:
            return np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(*self.sigma)), dtype=np.uint8)
        return grey


class Gamma(GreyStep):
    """Raises grey (0..1) to a power between exp(-``log_power``) and exp(``log_power``)."""

    step: Literal["gamma"] = "gamma"
    chance: Chance = 0.5
    log_power: float = 0.4

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        levels = np.linspace(0.0, 1.0, 256) ** math.exp(rng.uniform(-self.log_power, self.log_power))
        return _through(levels, grey)


class Contrast(GreyStep):
    """Changes contrast by a factor and brightness by an offset (grey as 0..1)."""

    step: Literal["contrast"] = "contrast"
    chance: Chance = 0.5
    factor: Range = (0.75, 1.25)
    offset: float = 0.12

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        levels = (np.linspace(0.0, 1.0, 256) - 0.5) * rng.uniform(*self.factor) + 0.5
        return _through(levels + rng.uniform(-self.offset, self.offset), grey)


class Noise(GreyStep):
    """Adds Gaussian noise of up to ``grey`` grey levels standard deviation, small ones more often."""

    step: Literal["noise"] = "noise"
    chance: Chance = 0.35
    grey: float = 20.0

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        noise = rng.standard_normal(grey.shape, dtype=np.float32) * (1.0 + (self.grey - 1.0) * rng.random() ** 2)
        return np.asarray(np.clip(grey + noise, 0, 255), dtype=np.uint8)


class Jpeg(GreyStep):
    """Compresses as JPEG with a quality of the range."""

    step: Literal["jpeg"] = "jpeg"
    chance: Chance = 0.15
    quality: tuple[int, int] = (50, 95)

    def change(self, grey: Grey, rng: np.random.Generator) -> Grey:
        """The grey picture after the step."""
        _, code = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*self.quality))])
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _through(levels: NDArray[np.float64], grey: Grey) -> Grey:
    table = np.asarray(np.clip(np.rint(levels * 255), 0, 255), dtype=np.uint8)
    return np.asarray(table[grey], dtype=np.uint8)
