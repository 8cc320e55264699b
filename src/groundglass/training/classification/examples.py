"""The arrays that a classifier learns from: slices at their stage, classes, SMOTE, class weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError
from groundglass.image.lung_view import Box, as_grey
from groundglass.image.prepare import resize
from groundglass.image.stages import WHOLE_SLICE, at_stage, classical_lungs, stage_box
from groundglass.inference.lungs_2d import lungs_mask
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.splits import Twin, left_out, told_pair
from groundglass.training.lung_network import CLASSICAL, lung_probabilities

logger = logging.getLogger(__name__)
Grey = NDArray[np.uint8]
AT_ONCE = 64
"""Slices of which the whole pictures are in memory at a time."""
LungFinder = Callable[[Sequence[NDArray[np.generic]]], list[Grey]]


@dataclass(frozen=True, eq=False)
class SeenSlice:
    """A slice as a network is shown it.

    Attributes:
        pixels: uint8 (size, size), at the preset's stage.
        box: the part of the slice that they cover.
    """

    pixels: Grey
    box: Box


@dataclass(frozen=True, eq=False)
class Examples:
    """Slices ready for a network.

    Attributes:
        images: uint8 (n, size, size).
        classes: number of the class of each.
        patients: whose slice it is; empty strings for synthetic ones.
        names: of the slices.
    """

    images: Grey
    classes: NDArray[np.int64]
    patients: list[str]
    names: list[str]

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.classes)


def class_of(label: str, preset: ClassifierPreset) -> int | None:
    """Number of a label's class; None where the label does not say which of three it is."""
    if preset.classes == "binary":
        return int(label != "COVID")
    return preset.class_names.index(label) if label in preset.class_names else None


def count_patients(slices: Sequence[LabelledSlice], preset: ClassifierPreset) -> tuple[int, int]:
    """Known patients of the slices that have a class of the preset, and how many such slices have no known patient."""
    used = [one for one in slices if class_of(one.label, preset) is not None]
    return len({one.group for one in used if one.patient}), sum(not one.patient for one in used)


def require_two_classes(
    slices: Sequence[LabelledSlice], preset: ClassifierPreset, *, twins: Sequence[Twin] = ()
) -> None:
    """Refuses to learn from slices of a single class; says what is not learned from, and why.

    Args:
        slices: of the training part.
        preset: whose classes count.
        twins: of slices that were left out of their parts.

    Raises:
        DatasetError: fewer than two classes are left.
    """
    used = Counter(one.label for one in slices if class_of(one.label, preset) is not None)
    unused = Counter(one.label for one in slices if class_of(one.label, preset) is None)
    open_labels = ", ".join(f"{count} {label}" for label, count in sorted(unused.items()))
    if len({class_of(label, preset) for label in used}) < 2:
        told = ", ".join(f"{count} {label}" for label, count in sorted(used.items())) or "none"
        hint = f'; left out, for they do not say which class: {open_labels}; set classes = "binary"' if unused else ""
        if twins:
            hint += f"; {_told_twins(twins)}"
        raise DatasetError(
            f"{preset.name} learns to tell {', '.join(preset.class_names)}; training slices found: {told}; expected "
            f"slices of two of these classes at least{hint}"
        )
    if unused:
        logger.info("left out, for they do not say which of %s: %s", ", ".join(preset.class_names), open_labels)


def _told_twins(twins: Sequence[Twin]) -> str:
    return (
        f"{len(left_out(twins))} left out as near twins of slices in other parts, such as "
        f"{told_pair(twins[0])}: if the parts hold the same pictures, divide them anew"
    )


def see(
    slices: Sequence[NDArray[np.generic]], preset: ClassifierPreset, *, lungs: LungFinder | None = None
) -> list[SeenSlice]:
    """Slices as the network of a preset is shown them, in training and after.

    Args:
        slices: (rows, columns) each: 8-bit grey, or Hounsfield units.
        preset: stage, size, and what finds the lungs.
        lungs: finds the lungs; what the preset names when None.

    Raises:
        UnknownModelError: no network at the place that the preset names for the lungs.
        UnusableModelError: a network there that does not find lungs in whole slices.
    """
    grey = [as_grey(image) for image in slices]
    if preset.stage in WHOLE_SLICE:
        found = [np.zeros_like(image) for image in grey]
    else:
        found = lungs(grey) if lungs else find_lungs(grey, preset.lungs)
    return [
        SeenSlice(
            np.asarray(resize(at_stage(image, preset.stage, lung), preset.size, preset.size), np.uint8),
            stage_box(preset.stage, lung),
        )
        for image, lung in zip(grey, found, strict=True)
    ]


def make_examples(
    slices: Sequence[LabelledSlice], preset: ClassifierPreset, *, lungs: LungFinder | None = None
) -> Examples:
    """Slices at the preset's stage and size; those whose class is not known are left out.

    Args:
        slices: what there is.
        preset: stage, classes, size.
        lungs: finds the lungs; what the preset names when None.

    Raises:
        DatasetError: no slice has a class of the preset.
        UnknownModelError: no network at the place that the preset names for the lungs.
        UnusableModelError: a network there that does not find lungs in whole slices.
    """
    known = [(one, index) for one in slices if (index := class_of(one.label, preset)) is not None]
    if not known:
        raise DatasetError(f"no slice has one of the classes {', '.join(preset.class_names)} of {preset.name}")
    images = np.empty((len(known), preset.size, preset.size), np.uint8)
    for start in range(0, len(known), AT_ONCE):
        shown = [one.image for one, _ in known[start : start + AT_ONCE]]
        for place, one in enumerate(see(shown, preset, lungs=lungs), start=start):
            images[place] = one.pixels
    return Examples(
        images=images,
        classes=np.array([index for _, index in known], dtype=np.int64),
        patients=[one.group for one, _ in known],
        names=[one.name for one, _ in known],
    )


def find_lungs(images: Sequence[Grey], source: str) -> list[Grey]:
    """Lungs, 0..255, of slices by what a preset names.

    Raises:
        UnknownModelError: no network at the place that the preset names.
        UnusableModelError: a network there that does not find lungs in whole slices.
    """
    if source == CLASSICAL:
        return [classical_lungs(image) for image in images]
    return [lungs_mask(found) for found in lung_probabilities(images, kind="picture", source=source)]


def with_smote(examples: Examples, *, seed: int = 0) -> Examples:
    """Examples with as many of every class: new pictures between neighbours of a rare class (SMOTE, Chawla 2002)."""
    from imblearn.over_sampling import SMOTE

    counts = np.bincount(examples.classes)
    rarest = int(counts[counts > 0].min())
    if rarest < 2 or len(set(counts[counts > 0])) == 1:
        return examples
    size = examples.images.shape[1]
    flat = examples.images.reshape(len(examples), -1).astype(np.float32)
    sampler = SMOTE(random_state=seed, k_neighbors=min(5, rarest - 1))
    images, classes = sampler.fit_resample(flat, examples.classes)
    new = len(classes) - len(examples)
    return Examples(
        np.clip(np.rint(images), 0, 255).astype(np.uint8).reshape(-1, size, size),
        np.asarray(classes, dtype=np.int64),
        examples.patients + [""] * new,
        examples.names + ["smote"] * new,
    )


def balance(classes: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Weight of each class: what would make all classes count alike; 1 on average over the slices."""
    numbers = np.bincount(classes, minlength=count).astype(np.float64)
    present = numbers > 0
    weights = np.where(present, len(classes) / (present.sum() * np.maximum(numbers, 1.0)), 0.0)
    return np.asarray(weights, dtype=np.float32)
