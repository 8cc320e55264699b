"""Every source of labelled slices in parts that share no patient: to learn from, to calibrate on, to test on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundglass.errors import DatasetError
from groundglass.inference.segment import SliceSegmenter
from groundglass.training.classification.readers import read_dataset
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.shipped_data import (
    SMALLEST_LUNG,
    Prepared,
    covid20_slices,
    medseg_slices,
    prepare,
    with_synthetic_lesions,
)
from groundglass.training.classification.splits import find_twins, split_slices
from groundglass.training.classification.volumes import SLICE_LABELS, labelled_slices, slice_labels

CT_VOLUMES = "ct_volumes"
TITLES = {
    "ucsd": "UCSD",
    "sars_cov_2_ct": "SARS-CoV-2 CT",
    "three_class": "CC-CCII subset",
    CT_VOLUMES: "COVID-CT-MD samples",
}
"""What sources are called in tables."""
VOLUMES = {
    "covid_P001": ("covid_P001_dicom", "COVID"),
    "cap_cap001": ("cap_cap001_ct.nii.gz", "OtherPneumonia"),
    "normal_normal001": ("normal_normal001_ct.nii.gz", "Normal"),
}
"""Scans of `ct_volumes`: the file, and what its infected slices show."""
TEST_ONLY = {CT_VOLUMES}
"""Sources that nothing ever learns from."""
SEGMENTED = {"three_class", CT_VOLUMES}
"""Sources of which the shipped segmentation network knows normal slices."""
SYNTHETIC = "synthetic"
FIGURES = {"ucsd", "sars_cov_2_ct"}
"""Sources whose slices were chosen for what they show; in others, slices with hardly any lung say nothing."""


def title_of(source: str) -> str:
    """What a source is called in tables."""
    return TITLES.get(source, source)


def load_sources(root: Path, segmenter: SliceSegmenter, *, seed: int = 0) -> list[Prepared]:
    """Every source in a folder, each slice with its part (`train`, `val`, `test`) as its `split`.

    Data sets lie in `root/classification`, or in `root` where there is no such folder. `covid20`, `medseg_train` and
    `ct_volumes` are read where they are there. Synthetic slices are made of normal slices of the part `train`.

    Args:
        root: folder of the data.
        segmenter: finds lungs and infection.
        seed: of the division and of the synthetic lesions.

    Raises:
        DatasetError: there is no data set.
    """
    folder = root / "classification" if (root / "classification").is_dir() else root
    names = [path.name for path in sorted(folder.iterdir()) if (path / "images.csv").is_file()] if root.is_dir() else []
    if not names:
        raise DatasetError(f"no data set in {folder}; expected folders with a table images.csv")
    slices = [one for name in names for one in _in_parts(read_dataset(folder / name), seed)]
    if (root / "covid20" / "slices.csv").is_file():
        slices += [replace(one, split="train") for one in covid20_slices(root)]
    if (root / "medseg_train" / "ct").is_dir():
        slices += [replace(one, split="train") for one in medseg_slices(root)]
    if (root / CT_VOLUMES / SLICE_LABELS).is_file():
        slices += [replace(one, split="test") for one in volume_slices(root)]
    prepared = [
        one for one in prepare(slices, segmenter) if one.slice.source in FIGURES or one.lung_share >= SMALLEST_LUNG
    ]
    normal = [one for one in prepared if one.slice.label == "Normal" and one.slice.split == "train"]
    made = with_synthetic_lesions(normal, np.random.default_rng(seed))
    return prepared + prepare([replace(one, split="train") for one in made], segmenter)


def _in_parts(slices: Sequence[LabelledSlice], seed: int) -> list[LabelledSlice]:
    """A source in parts. Where it names a validation part alone, that is the test, and `train` is divided.

    A source with one label alone cannot be tested on and is learned from as a whole.
    """
    if len({one.label == "COVID" for one in slices}) < 2:
        return [replace(one, split="train") for one in slices]
    names = {one.split for one in slices}
    if "val" in names and "test" not in names:
        slices = [replace(one, split="test" if one.split == "val" else one.split) for one in slices]
    split = split_slices(slices, seed=seed)
    parts = {"train": split.train, "val": split.val, "test": split.test}
    return [replace(one, split=part) for part, members in parts.items() for one in members]


def volume_slices(root: Path) -> list[LabelledSlice]:
    """Every axial slice of the scans of `ct_volumes`, each with the label of its slice."""
    folder = root / CT_VOLUMES
    infected = slice_labels(folder / SLICE_LABELS)
    return [
        LabelledSlice(f"{name}[{head}]", CT_VOLUMES, name, shown, "", image)
        for name, (file, label) in VOLUMES.items()
        for head, shown, image in labelled_slices(folder / file, label, infected.get(name, ()))
    ]


def has_both(prepared: Sequence[Prepared]) -> bool:
    """Whether slices of COVID and others are among them."""
    return len({one.slice.label == "COVID" for one in prepared}) == 2


def part(prepared: Sequence[Prepared], sources: Collection[str], split: str) -> list[Prepared]:
    """Slices of one part of some sources."""
    return [one for one in prepared if one.slice.source in sources and one.slice.split == split]


def learnable(prepared: Sequence[Prepared]) -> list[str]:
    """Sources with COVID and others in the part to learn from and in that to calibrate on."""
    names = dict.fromkeys(one.slice.source for one in prepared)
    known = [name for name in names if name not in TEST_ONLY]
    return [name for name in known if all(has_both(part(prepared, {name}, split)) for split in ("train", "val"))]


def testable(prepared: Sequence[Prepared]) -> list[str]:
    """Sources with COVID and others, in the test part too."""
    return [
        name
        for name in dict.fromkeys(one.slice.source for one in prepared)
        if name != SYNTHETIC and has_both(part(prepared, {name}, "test"))
    ]


def learned_part(prepared: Sequence[Prepared], sources: Collection[str]) -> list[Prepared]:
    """Slices of the parts `train` and `val` of some sources, with the synthetic ones made of their `train` alone."""
    known = {one.slice.group for one in part(prepared, sources, "train")}
    return [
        one
        for one in prepared
        if one.slice.source in sources
        and one.slice.split in {"train", "val"}
        and (one.slice.source != SYNTHETIC or one.slice.patient in known)
    ]


def without_twins_of(learned: Sequence[Prepared], tested: Sequence[Prepared]) -> tuple[list[Prepared], int]:
    """Slices to learn from without those that are nearly the same picture as a tested one, and how many were left."""
    kept: list[Prepared] = []
    against = [one.slice for one in tested]
    for source in dict.fromkeys(one.slice.source for one in learned):
        own = [one for one in learned if one.slice.source == source]
        twins = {twin.first for twin in find_twins([one.slice for one in own], against)}
        kept += [one for one in own if one.slice.name not in twins]
    return kept, len(learned) - len(kept)
