"""The training set: samples drawn by source and volume, changed at random, as tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset

from groundglass.training import augment, sources
from groundglass.training.clutter import add_blankets, add_gas
from groundglass.training.labels import classical_lungs
from groundglass.training.lesions import paste_lesions
from groundglass.training.sources import CHANNELS, CONSOLIDATION, INFECTION, LUNG, Sample

BLANK = "blank"
SMALL_LUNGS = 0.05
"""Share of a slice below which its lungs are called small."""


@dataclass(frozen=True)
class DataConfig:
    """What is sampled, and how often.

    Attributes:
        root: Folder of the data sets.
        folds: Folds of ``covid20`` that are learned from.
        size: Side of the network input.
        weights: Share of each source among the samples.
        lesion_chance: Chance that an HU slice gets synthetic lesions.
        clutter_chance: Chance of blankets around the body, and of gas in the belly, of an HU slice.
        changes: The random changes.
    """

    root: Path
    folds: tuple[int, ...] = (1, 2, 3)
    size: int = 256
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "covid20": 0.50,
            "medseg": 0.11,
            "lung2d": 0.15,
            "normal": 0.15,
            "negatives": 0.07,
            BLANK: 0.02,
        }
    )
    lesion_chance: float = 0.5
    clutter_chance: float = 0.25
    changes: augment.AugmentConfig = field(default_factory=augment.AugmentConfig)


def load_sources(config: DataConfig) -> dict[str, list[Sample]]:
    """Reads every source of the training set; held-out parts are left out."""
    return {
        "covid20": list(sources.covid20(config.root, config.folds)),
        "medseg": list(sources.medseg(config.root, held_out=False, size=config.size)),
        "lung2d": list(sources.lung2d(config.root, held_out=False)),
        "normal": _more_ends(list(sources.normal_volume(config.root, classical_lungs))),
        "negatives": list(sources.negatives(config.root)),
    }


def _more_ends(samples: list[Sample]) -> list[Sample]:
    """Counts slices through the apex seven times, through the lowest base three times: they are few and hard."""
    small = [sample for sample in samples if 0 < sample.masks[LUNG].mean() < SMALL_LUNGS]
    apex = [sample for sample in small if not sample.belly]
    return samples + 2 * small + 4 * apex


def blank(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture without lungs: a constant, noise, or smooth clouds."""
    level, spread = rng.uniform(0, 255), rng.choice([0.0, rng.uniform(2, 80)])
    cells = size // int(rng.choice([1, 1, 4, 16, 64]))
    noise = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(spread)
    clouds = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) + np.float32(level)
    return np.asarray(np.clip(clouds, 0, 255), dtype=np.uint8)


def with_lesions(sample: Sample, rng: np.random.Generator) -> Sample:
    """Pastes lesions into an HU slice; where the rest of the lung is unlabelled only their surroundings count."""
    lung = sample.masks[LUNG].astype(bool)
    image, infection, solid = paste_lesions(np.asarray(sample.image, dtype=np.int16), lung, rng)
    masks, known = sample.masks.copy(), sample.known.copy()
    masks[INFECTION], masks[CONSOLIDATION] = infection, solid
    if not sample.healthy and infection.any():
        near = ndimage.binary_dilation(infection, iterations=4)
        known[INFECTION] |= near
        known[CONSOLIDATION] |= near
    return replace(sample, image=image, masks=masks, known=known)


def with_clutter(sample: Sample, config: DataConfig, rng: np.random.Generator) -> Sample:
    """Adds blankets around the body and, where no lesion may hide and the belly begins, gas in the bowel."""
    image = np.asarray(sample.image, dtype=np.int16)
    lung = sample.masks[LUNG].astype(bool)
    if rng.random() < config.clutter_chance:
        image = add_blankets(image, rng)
    if sample.healthy and sample.belly and rng.random() < config.clutter_chance:
        image = add_gas(image, lung, rng)
    return replace(sample, image=image)


def draw_example(
    sample: Sample, config: DataConfig, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """One random view of a sample: grey picture, masks and known pixels, all of the network's size."""
    if sample.kind == "hu":
        sample = with_clutter(sample, config, rng)
        if rng.random() < config.lesion_chance:
            sample = with_lesions(sample, rng)
    lungs = sample.masks[LUNG] if sample.masks[LUNG].any() else None
    rows, columns = sample.image.shape
    matrix = augment.draw_matrix((rows, columns), config.size, config.changes, rng, lungs)
    border = -1024.0 if sample.kind == "hu" else float(np.percentile(sample.image[::8, ::8].astype(np.float32), 2))
    image = augment.warp(sample.image, matrix, config.size, border)
    to_grey = augment.hu_to_grey if sample.kind == "hu" else augment.grey_to_grey
    grey = augment.disturb(to_grey(image, config.changes, rng), config.changes, rng)
    masks = augment.warp_masks(sample.masks, matrix, config.size)
    known = 1 - augment.warp_masks(1 - sample.known, matrix, config.size)
    return grey, masks, known


class SliceStream(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless random examples; every source, then every volume in it, by weight, then a slice.

    A volume weighs the square root of its number of slices, so that a hundred near-identical neighbours do not
    crowd out a volume of ten.
    """

    def __init__(self, config: DataConfig, samples: dict[str, list[Sample]], seed: int) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        self.names = [name for name in config.weights if name == BLANK or samples.get(name)]
        shares = np.array([config.weights[name] for name in self.names])
        self.shares = shares / shares.sum()
        self.groups: dict[str, list[list[Sample]]] = {}
        self.group_shares: dict[str, NDArray[np.float64]] = {}
        for name in self.names:
            grouped: dict[str, list[Sample]] = defaultdict(list)
            for sample in samples.get(name, []):
                grouped[sample.group].append(sample)
            self.groups[name] = list(grouped.values())
            roots = np.sqrt([len(group) for group in self.groups[name]])
            self.group_shares[name] = roots / max(roots.sum(), 1e-9)

    def example(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Draws one example."""
        name = self.names[int(rng.choice(len(self.names), p=self.shares))]
        size = self.config.size
        if name == BLANK:
            shape = (len(CHANNELS), size, size)
            return blank(size, rng), np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
        groups = self.groups[name]
        group = groups[int(rng.choice(len(groups), p=self.group_shares[name]))]
        return draw_example(group[int(rng.integers(len(group)))], self.config, rng)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields picture (1, size, size), masks and known (3, size, size), all uint8."""
        cv2.setNumThreads(0)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        while True:
            grey, masks, known = self.example(rng)
            yield torch.from_numpy(grey[None]), torch.from_numpy(masks), torch.from_numpy(known)
