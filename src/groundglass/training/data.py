"""Examples for the network: drawn by a number alone, so that a run can go on exactly where it stopped.

Example ``i`` of a run depends on the seed and on ``i``, not on what was drawn before it or in which process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from groundglass.training.cache import CachedVolume
from groundglass.training.presets.model import Preset
from groundglass.training.sample import CHANNELS, Sample
from groundglass.training.sources.find import BLANK, source_name
from groundglass.training.steps.run import augment, to_grey

Item = tuple[Tensor, Tensor, Tensor]
"""Grey picture (1, size, size), masks and known pixels (channels, size, size); all uint8."""
Place = tuple[CachedVolume, int]


def blank(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture without lungs: a constant, noise, or smooth clouds."""
    level, spread = rng.uniform(0, 255), rng.choice([0.0, rng.uniform(2, 80)])
    cells = max(1, size // int(rng.choice([1, 1, 4, 16, 64])))
    noise = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(spread)
    clouds = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) + np.float32(level)
    return np.asarray(np.clip(clouds, 0, 255), dtype=np.uint8)


def blank_sample(size: int, rng: np.random.Generator) -> Sample:
    """A slice without lungs, of which everything is known."""
    shape = (len(CHANNELS), size, size)
    return Sample(BLANK, BLANK, "picture", blank(size, rng), np.zeros(shape, np.uint8), np.ones(shape, np.uint8))


class WeightedDraw:
    """Draws a source by weight, then a volume in it, then a slice.

    A volume weighs the square root of its number of slices, so that a hundred near-identical neighbours do not
    crowd out a volume of ten.
    """

    def __init__(self, sources: dict[str, list[CachedVolume]], weights: dict[str, float]) -> None:
        self.names = [name for name in weights if name == BLANK or any(v.slices for v in sources.get(name, []))]
        shares = np.array([weights[name] for name in self.names])
        self.shares = shares / shares.sum()
        self.groups: dict[str, list[list[Place]]] = {}
        self.group_shares: dict[str, NDArray[np.float64]] = {}
        for name in self.names:
            grouped: dict[str, list[Place]] = {}
            for volume in sources.get(name, []):
                for index, entry in enumerate(volume.slices):
                    grouped.setdefault(entry.group, []).append((volume, index))
            self.groups[name] = list(grouped.values())
            roots = np.sqrt([len(group) for group in self.groups[name]])
            self.group_shares[name] = roots / max(roots.sum(), 1e-9)

    def __call__(self, rng: np.random.Generator) -> Place | None:
        """Where the slice lies; None for a blank picture."""
        name = self.names[int(rng.choice(len(self.names), p=self.shares))]
        if name == BLANK:
            return None
        groups = self.groups[name]
        group = groups[int(rng.choice(len(groups), p=self.group_shares[name]))]
        return group[int(rng.integers(len(group)))]


@dataclass(frozen=True)
class Plan:
    """Which side the pictures of each step have.

    Attributes:
        batch: Examples per step, all processes together.
        sizes: Sides, one after the other.
        first_steps: Steps before the last side (shared by all the sides before it).
    """

    batch: int
    sizes: tuple[int, ...]
    first_steps: int

    def size_at(self, step: int) -> int:
        """Side of the pictures of a step."""
        if step >= self.first_steps or len(self.sizes) == 1:
            return self.sizes[-1]
        earlier = len(self.sizes) - 1
        return self.sizes[min(step * earlier // self.first_steps, earlier - 1)]


class TrainingSlices(Dataset[Item]):
    """Augmented examples by their number."""

    def __init__(self, preset: Preset, sources: dict[str, list[CachedVolume]], plan: Plan, seed: int) -> None:
        self.preset, self.plan, self.seed = preset, plan, seed
        self.places: list[Place] = [
            (volume, index) for volumes in sources.values() for volume in volumes for index in range(len(volume.slices))
        ]
        weights = dict.fromkeys(sources, 0.0)
        for choice in preset.sources:
            if source_name(choice) in sources:
                weights[source_name(choice)] += choice.weight
        self.draw = WeightedDraw(sources, weights)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        """Slices in the training set."""
        return len(self.places)

    def _place(self, index: int, rng: np.random.Generator) -> Place | None:
        if self.preset.sampling == "weighted":
            return self.draw(rng)
        epoch, position = divmod(index, len(self.places))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, 47, epoch]).permutation(len(self.places)))
        return self.places[int(self._order[1][position])]

    def example(self, index: int) -> Sample:
        """The augmented slice of a number, as the network sees it."""
        rng = np.random.default_rng([self.seed, index])
        size = self.plan.size_at(index // self.plan.batch)
        place = self._place(index, rng)
        if place is None:
            return blank_sample(size, rng)
        volume, position = place
        return to_grey(augment(volume.read(position), self.preset.augmentation, size, rng), self.preset.shown)

    def __getitem__(self, index: int) -> Item:
        """The example of a number as tensors."""
        return to_item(self.example(index), self.preset)


def to_item(sample: Sample, preset: Preset) -> Item:
    """A square grey slice as tensors, with the preset's channels."""
    wanted = list(preset.channel_indices)
    grey = np.asarray(sample.image, dtype=np.uint8)
    masks = np.ascontiguousarray(sample.masks[wanted])
    known = np.ascontiguousarray(sample.known[wanted])
    return torch.from_numpy(np.ascontiguousarray(grey[None])), torch.from_numpy(masks), torch.from_numpy(known)


class WatchedSlices(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """Slices to validate on, without augmentation, with the number of their volume."""

    def __init__(self, preset: Preset, volumes: Sequence[CachedVolume]) -> None:
        self.preset = preset
        self.names = tuple(volume.name for volume in volumes)
        self.places = [
            (number, volume, index) for number, volume in enumerate(volumes) for index in range(len(volume.slices))
        ]

    def __len__(self) -> int:
        """Slices in all."""
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, int]:
        """Picture, masks, known pixels, number of the volume."""
        number, volume, position = self.places[index]
        sample = to_grey(volume.read(position), self.preset.shown)
        still = augment(sample, (), self.preset.size, np.random.default_rng(0))
        return (*to_item(still, self.preset), number)


class Numbers(Sampler[int]):
    """The numbers of the examples of one period of the run, for one of several processes.

    Every step's examples are dealt to the processes in turn.
    """

    def __init__(self, batch: int, period: int, rank: int = 0, processes: int = 1) -> None:
        self.batch, self.period, self.rank, self.processes = batch, period, rank, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Moves to another period; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Examples of this process in a period."""
        return self.period * (self.batch // self.processes)

    def __iter__(self) -> Iterator[int]:
        """The numbers, in order."""
        first = self.epoch * self.period * self.batch
        return iter(range(first + self.rank, first + self.period * self.batch, self.processes))


def quiet_worker(_: int) -> None:
    """OpenCV in a worker process uses that process alone."""
    cv2.setNumThreads(0)
