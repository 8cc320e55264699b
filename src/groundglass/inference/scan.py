"""Probabilities for a whole scan or a set of pictures, on their own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import ModelRecord
from groundglass.image.spatial import SquareField, fill_between, slices_to_look_at, smooth_across
from groundglass.inference.classify import SliceClassifier
from groundglass.inference.segment import SliceSegmenter, at_own_size
from groundglass.models.catalog import CLASSIFIER, available, load_card
from groundglass.options import AnalysisOptions
from groundglass.settings import Settings
from groundglass.volume import CTVolume, PictureSet

AIR_HU = -1024.0

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Networks:
    """The loaded networks of an analysis; one load serves any number of scans.

    Attributes:
        segmenter: lung and infection network.
        lung_threshold: lung probability from which a pixel is lung.
        infection_threshold: infection probability from which a lung pixel is infected.
        classifier: what names the disease; None where the package has no such network.
    """

    segmenter: SliceSegmenter
    lung_threshold: float
    infection_threshold: float
    classifier: SliceClassifier | None = None

    @classmethod
    def load(cls, options: AnalysisOptions | None = None, settings: Settings | None = None) -> Networks:
        """Verify and compile the networks.

        Raises:
            ModelError: unknown name, weights missing or damaged.
        """
        options, settings = options or AnalysisOptions(), settings or Settings.from_environment()
        card = load_card(options.model)
        of_channel = dict(zip(card.channels, card.thresholds, strict=True))
        return cls(
            SliceSegmenter(
                card,
                precision=settings.precision,
                threads=settings.threads or None,
                cache=settings.cache_folder(),
            ),
            options.lung_threshold or of_channel["lung"],
            options.infection_threshold or of_channel["infection"],
            SliceClassifier(threads=settings.threads or None) if CLASSIFIER in available() else None,
        )

    @property
    def records(self) -> list[ModelRecord]:
        """Name and checksum of each network, for the run record."""
        cards = [self.segmenter.card, *([self.classifier.card] if self.classifier else [])]
        return [ModelRecord(name=card.name, sha256=card.sha256) for card in cards]

    @property
    def precision(self) -> str:
        """Arithmetic in use, `bf16` or `f32`."""
        return self.segmenter.precision

    @property
    def licence(self) -> str:
        """Terms of the networks' training data."""
        return self.segmenter.card.licence


@dataclass(frozen=True, eq=False)
class Channels:
    """Probabilities, uint8 with 0..255 for 0..1.

    Attributes:
        lung: (x, y, z) for a scan, (rows, columns) for a picture.
        infection: same shape.
        consolidation: same shape; of infected tissue, how likely it is consolidated. None where Hounsfield units say
            so instead.
    """

    lung: NDArray[np.uint8]
    infection: NDArray[np.uint8]
    consolidation: NDArray[np.uint8] | None


def scan_probabilities(volume: CTVolume, segmenter: SliceSegmenter, *, progress: Step) -> Channels:
    """Lung, infection and consolidation of a scan; see `scan_channels`."""
    wanted = ("lung", "infection") if volume.units == "HU" else ("lung", "infection", "consolidation")
    ras = scan_channels(volume, segmenter, progress=progress, wanted=wanted)
    return Channels(ras["lung"], ras["infection"], ras.get("consolidation"))


def scan_channels(
    volume: CTVolume, segmenter: SliceSegmenter, *, progress: Step, wanted: Sequence[str] | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Run a network over the axial slices of a scan.

    Slices thinner than 0.8 mm are sampled and interpolated (see `slices_to_look_at`), and the probabilities are
    smoothed from slice to slice (see `smooth_across`).

    Args:
        volume: the scan.
        segmenter: the network.
        progress: called with (slices done, slices to do).
        wanted: channels to keep; all when None.

    Returns:
        Channel -> probabilities, 0..255 for 0..1, on the scan's grid in RAS+ order, one axial slice contiguous in
        memory.
    """
    columns, rows, count = volume.geometry.shape
    spacing = volume.geometry.spacing
    field = SquareField.of(rows, columns, spacing[1], spacing[0])
    seen = slices_to_look_at(count, spacing[2])
    kept = [place for place, name in enumerate(segmenter.card.channels) if wanted is None or name in wanted]
    planes = {segmenter.card.channels[place]: np.zeros((count, rows, columns), np.uint8) for place in kept}
    results = segmenter.stream(_axial_slices(volume, field, seen), kind="hu" if volume.units == "HU" else "picture")
    for done, (z, result) in enumerate(zip(seen, results, strict=True), start=1):
        for stack, place in zip(planes.values(), kept, strict=True):
            stack[z] = field.crop(at_own_size(result[place], *field.padded_shape))
        progress(done, len(seen))
    for stack in planes.values():
        fill_between(stack, seen)
        smooth_across(stack, spacing[2])
    # [z, row, column] in display order -> (x, y, z) in RAS+: rows run to posterior, columns to the left.
    return {name: stack.transpose(2, 1, 0)[::-1, ::-1] for name, stack in planes.items()}


def _axial_slices(volume: CTVolume, field: SquareField, seen: list[int]) -> Iterator[NDArray[np.generic]]:
    outside = AIR_HU if volume.units == "HU" else 0.0
    for z in seen:
        image = field.pad(volume.axial(z), outside)
        yield image if volume.units == "HU" else np.clip(np.rint(image), 0, 255).astype(np.uint8)


def picture_probabilities(pictures: PictureSet, segmenter: SliceSegmenter, *, progress: Step) -> list[Channels]:
    """Run the network over pictures.

    Args:
        pictures: the pictures.
        segmenter: the network.
        progress: called with (pictures done, pictures to do).

    Returns:
        Probabilities per picture, at the picture's own size.
    """
    images = [picture.pixels for picture in pictures.slices]
    results: list[Channels] = []
    for image, result in zip(images, segmenter.stream(images, kind="picture"), strict=True):
        own = {
            name: at_own_size(probability, *image.shape)
            for name, probability in zip(segmenter.card.channels, result, strict=True)
        }
        results.append(Channels(own["lung"], own["infection"], own["consolidation"]))
        progress(len(results), len(images))
    return results
