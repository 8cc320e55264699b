"""What the shipped classifier learns from: every source, what the segmentation finds in it, synthetic lesions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from groundglass.image.lung_view import LUNG_LEVEL, as_grey
from groundglass.inference.scan import slice_channels
from groundglass.inference.segment import SliceSegmenter
from groundglass.io.tables import read_rows
from groundglass.training.classification.changes import Planes
from groundglass.training.classification.readers import read_dataset
from groundglass.training.classification.records import LabelledSlice, read_grey
from groundglass.training.lesions import paste_lesions

SHARES = {
    "ucsd": 0.42,
    "sars_cov_2_ct": 0.20,
    "three_class": 0.14,
    "luna_no_pneumonia": 0.08,
    "covid20": 0.05,
    "medseg": 0.03,
    "synthetic": 0.08,
}
"""How often each source is drawn."""
PICTURE_WINDOW = (-1000.0, 400.0)
"""HU that the LUNA and CC-CCII pictures are taken to show black and white, to paste lesions into them."""
SMALLEST_LUNG = 0.04
EVERY_FOURTH = 4


@dataclass(frozen=True, eq=False)
class Prepared:
    """A slice with its maps, at its own size."""

    slice: LabelledSlice
    planes: Planes

    @property
    def lung_share(self) -> float:
        """Share of the slice that is lung."""
        return float((self.planes[1] >= LUNG_LEVEL).mean())


def prepare(slices: list[LabelledSlice], segmenter: SliceSegmenter) -> list[Prepared]:
    """Adds to every slice what the segmentation finds in it; the order stays."""
    found: dict[int, Prepared] = {}
    for kind in ("picture", "hu"):
        part = [(i, one) for i, one in enumerate(slices) if (one.image.dtype == np.uint8) == (kind == "picture")]
        images = [one.image for _, one in part]
        maps = slice_channels(images, "picture" if kind == "picture" else "hu", segmenter)
        for (index, one), image, own in zip(part, images, maps, strict=True):
            found[index] = Prepared(one, (as_grey(image), own["lung"], own["infection"]))
    return [found[index] for index in range(len(slices))]


def covid20_slices(root: Path) -> list[LabelledSlice]:
    """Every fourth infected slice of `covid20`, labelled COVID."""
    folder = root / "covid20"
    rows = read_rows(folder / "slices.csv")[::EVERY_FOURTH]
    return [
        LabelledSlice(row["file"], "covid20", row["patient"], "COVID", "", folder / "ct" / row["file"]) for row in rows
    ]


def medseg_slices(root: Path) -> list[LabelledSlice]:
    """The slices of `medseg_train`, turned upright, labelled COVID."""
    return [
        LabelledSlice(path.name, "medseg", path.stem, "COVID", "", np.rot90(read_grey(path)).copy())
        for path in sorted((root / "medseg_train" / "ct").glob("*.jpg"))
    ]


def with_synthetic_lesions(normal: list[Prepared], rng: np.random.Generator) -> list[LabelledSlice]:
    """A copy of normal slices with lesions pasted in: pneumonia in pictures of a source that has none."""
    low, high = PICTURE_WINDOW
    changed = []
    for one in normal:
        grey, lung, _ = one.planes
        inside = cv2.erode((lung >= LUNG_LEVEL).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        if inside.mean() < SMALLEST_LUNG:
            continue
        hu = (grey.astype(np.float32) / 255.0 * (high - low) + low).astype(np.int16)
        sick, infection, _ = paste_lesions(hu, inside, rng)
        if infection.sum() < 0.02 * inside.sum():
            continue
        image = np.clip(np.rint((sick.astype(np.float32) - low) / (high - low) * 255.0), 0, 255).astype(np.uint8)
        name, patient = f"{one.slice.name}+lesions", f"{one.slice.source}/{one.slice.patient}"
        changed.append(LabelledSlice(name, "synthetic", patient, "Pneumonia", "", image))
    return changed


def load_shipped(root: Path, segmenter: SliceSegmenter, *, seed: int = 0) -> list[Prepared]:
    """Every slice that the shipped classifier learns from or is selected on (`split` `val`).

    Slices of `three_class` and LUNA with hardly any lung are left out: their patient's label does not show on them.
    """
    folder = root / "classification"
    names = ("ucsd", "sars_cov_2_ct", "three_class", "luna_no_pneumonia")
    slices = [one for name in names for one in read_dataset(folder / name)]
    prepared = prepare([*slices, *covid20_slices(root), *medseg_slices(root)], segmenter)
    weak = {"three_class", "luna_no_pneumonia"}
    prepared = [one for one in prepared if one.slice.source not in weak or one.lung_share >= SMALLEST_LUNG]
    normal = [one for one in prepared if one.slice.label == "Normal"]
    return prepared + prepare(with_synthetic_lesions(normal, np.random.default_rng(seed)), segmenter)


class SourceSampler:
    """Draws slices: a source by its share, a label in it with equal chance, a patient, a slice of his.

    Labels with equal chance within each source keep the network from answering with the source.
    """

    def __init__(self, prepared: list[Prepared], shares: dict[str, float] | None = None) -> None:
        self.tree: dict[str, dict[str, list[list[Prepared]]]] = {}
        grouped: dict[tuple[str, str, str], list[Prepared]] = defaultdict(list)
        for one in prepared:
            grouped[one.slice.source, one.slice.label, one.slice.group].append(one)
        for (source, label, _), members in grouped.items():
            self.tree.setdefault(source, {}).setdefault(label, []).append(members)
        wanted = SHARES if shares is None else shares
        self.sources = [name for name in self.tree if wanted.get(name, 0.0) > 0.0]
        self.shares = np.array([wanted[name] for name in self.sources])
        self.shares /= self.shares.sum()

    def draw(self, rng: np.random.Generator) -> Prepared:
        """One slice."""
        labels = self.tree[self.sources[int(rng.choice(len(self.sources), p=self.shares))]]
        groups = labels[list(labels)[int(rng.integers(len(labels)))]]
        weights = np.sqrt([len(group) for group in groups])
        members = groups[int(rng.choice(len(groups), p=weights / weights.sum()))]
        return members[int(rng.integers(len(members)))]
