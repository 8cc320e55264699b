"""Probabilities for a whole scan or a set of pictures, on their own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import ModelRecord
from groundglass.image.lung_view import Box, as_grey
from groundglass.image.prepare import Kind
from groundglass.image.spatial import SquareField, fill_between, slices_to_look_at, smooth_across, smooth_alike
from groundglass.inference.classify import SliceClassifier
from groundglass.inference.looking import Look, look_near_lungs, may_show_lung, near_lungs
from groundglass.inference.lung_frames import AIR_HU, LungFrames
from groundglass.inference.segment import SliceSegmenter, at_own_size
from groundglass.inference.zoom import Maps, look_first, mean_of_looks, zoom_box
from groundglass.models.catalog import CLASSIFIER, InvolvementBand, ModelCard, available
from groundglass.models.place import segmentation_cards
from groundglass.options import AnalysisOptions
from groundglass.settings import Settings
from groundglass.volume import CTVolume, PictureSet

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Networks:
    """The loaded networks of an analysis; one load serves any number of scans.

    Attributes:
        segmenter: what finds the infection, and the lungs too unless another network does.
        lung_threshold: lung probability from which a pixel is lung.
        infection_threshold: infection probability from which a lung pixel is infected.
        classifier: what names the disease; None where the package has no such network.
        lung_segmenter: what finds the lungs where `segmenter` does not.
    """

    segmenter: SliceSegmenter
    lung_threshold: float
    infection_threshold: float
    classifier: SliceClassifier | None = None
    lung_segmenter: SliceSegmenter | None = None

    @classmethod
    def load(cls, options: AnalysisOptions | None = None, settings: Settings | None = None) -> Networks:
        """Verify and compile the networks.

        Raises:
            ModelError: unknown name, weights missing or damaged, or a network for another task.
        """
        options, settings = options or AnalysisOptions(), settings or Settings.from_environment()
        lung, infection = segmentation_cards(options.model)
        return cls(
            _segmenter(infection, settings),
            options.lung_threshold or lung.thresholds[lung.channels.index("lung")],
            options.infection_threshold or infection.thresholds[infection.channels.index("infection")],
            # One thread: a scan is classified while its lungs are cleaned up, which needs the other cores.
            SliceClassifier(threads=1) if CLASSIFIER in available() else None,
            None if lung == infection else _segmenter(lung, settings),
        )

    @property
    def records(self) -> list[ModelRecord]:
        """Name and checksum of each network and what it gave, for the run record."""
        of_infection = self._given(self.segmenter.card, ("infection", "consolidation"))
        if self.lung_segmenter is None:
            records = [self._given(self.segmenter.card, ("lung", "infection", "consolidation"))]
        else:
            records = [self._given(self.lung_segmenter.card, ("lung",)), of_infection]
        if self.classifier is not None:
            card = self.classifier.card
            records.append(ModelRecord(name=card.name, sha256=card.sha256, gave=["class"]))
        return records

    @staticmethod
    def _given(card: ModelCard, wanted: tuple[str, ...]) -> ModelRecord:
        given = [name for name in wanted if name in card.channels]
        return ModelRecord(name=card.name, sha256=card.sha256, gave=given)

    @property
    def involvement_interval(self) -> InvolvementBand | None:
        """Constants of the interval; None where lungs and infection are of two networks, for which none were fitted."""
        return self.segmenter.card.involvement_interval if self.lung_segmenter is None else None

    @property
    def precision(self) -> str:
        """Arithmetic in use, `int8`, `bf16` or `f32`."""
        return self.segmenter.precision

    @property
    def licence(self) -> str:
        """Terms of the networks' training data."""
        cards = [self.segmenter.card, *([self.lung_segmenter.card] if self.lung_segmenter else [])]
        return " ".join(dict.fromkeys(card.licence for card in cards))


def _segmenter(card: ModelCard, settings: Settings) -> SliceSegmenter:
    return SliceSegmenter(
        card, precision=settings.precision, threads=settings.threads or None, cache=settings.cache_folder()
    )


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


def scan_probabilities(
    volume: CTVolume, segmenter: SliceSegmenter, *, progress: Step, lung_segmenter: SliceSegmenter | None = None
) -> Channels:
    """Lung, infection and consolidation of a scan, the lung perhaps from a network of its own; see `scan_channels`."""
    wanted = ("infection",) if volume.units == "HU" else ("infection", "consolidation")
    if lung_segmenter is None:
        ras = scan_channels(volume, segmenter, progress=progress, wanted=("lung", *wanted))
    else:
        first, second = _halves(progress)
        ras = scan_channels(volume, lung_segmenter, progress=first, wanted=("lung",))
        ras |= scan_channels(volume, segmenter, progress=second, wanted=wanted, lung=ras["lung"])
    return Channels(ras["lung"], ras["infection"], ras.get("consolidation"))


def _halves(progress: Step) -> tuple[Step, Step]:
    """Progress of two passes over the same slices, one after the other."""
    return (lambda done, total: progress(done, 2 * total)), (lambda done, total: progress(total + done, 2 * total))


def scan_channels(
    volume: CTVolume,
    segmenter: SliceSegmenter,
    *,
    progress: Step,
    wanted: Sequence[str] | None = None,
    lung: NDArray[np.uint8] | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """Run a network over the axial slices of a scan.

    Slices thinner than 0.8 mm are sampled and interpolated (see `slices_to_look_at`), slices far from the lungs are
    left out (see `looking`; every probability is 0 there), and the probabilities are smoothed from slice to slice (see
    `smooth_across`).

    Args:
        volume: the scan.
        segmenter: the network.
        progress: called with (slices done, slices to do).
        wanted: channels to keep; all when None.
        lung: lung probability on the scan's grid in RAS+ order, for a network that must be shown where the lungs are;
            without it that network is shown whole slices.

    Returns:
        Channel -> probabilities, 0..255 for 0..1, on the scan's grid in RAS+ order, one axial slice contiguous in
        memory.
    """
    columns, rows, count = volume.geometry.shape
    spacing = volume.geometry.spacing
    field = SquareField.of(rows, columns, spacing[1], spacing[0])
    seen = slices_to_look_at(count, spacing[2])
    kept = [name for name in segmenter.card.channels if wanted is None or name in wanted]
    planes = {name: np.zeros((count, rows, columns), np.uint8) for name in kept}
    looked = _looked_at(volume, segmenter, field, seen, kept, lung)
    for done, (z, maps) in enumerate(looked, start=1):
        for stack, plane in zip(planes.values(), maps, strict=True):
            stack[z] = field.crop(plane)
        progress(done, len(seen))
    progress(len(seen), len(seen))
    for stack in planes.values():
        fill_between(stack, seen)
        smooth_across(stack, spacing[2])
    # [z, row, column] in display order -> (x, y, z) in RAS+: rows run to posterior, columns to the left.
    return {name: stack.transpose(2, 1, 0)[::-1, ::-1] for name, stack in planes.items()}


def _looked_at(
    volume: CTVolume,
    segmenter: SliceSegmenter,
    field: SquareField,
    seen: list[int],
    kept: list[str],
    lung: NDArray[np.uint8] | None,
) -> Iterator[tuple[int, Maps]]:
    """Number and kept maps of the slices near the lungs, in no order; of all where nothing says where those are."""
    recipe, spacing_mm = segmenter.card.preprocessing, volume.geometry.spacing[2]
    places = [segmenter.card.channels.index(name) for name in kept]
    kind: Kind = "hu" if volume.units == "HU" else "picture"

    def look(numbers: list[int], where: Maps | None = None, box: Box | None = None) -> Iterator[Maps]:
        frames = LungFrames(recipe, where, [box] * len(numbers))
        for result in segmenter.stream(frames.shown(_axial_slices(volume, field, numbers)), kind=kind):
            yield list(frames.whole(result[places]))

    def nearer(lungs: Maps) -> Look | None:
        box = zoom_box(lungs, *field.padded_shape, recipe)
        return partial(look, box=box) if box is not None else None

    if lung is not None:
        near = near_lungs(seen, spacing_mm, [z for z in seen if may_show_lung(lung[:, :, z])])
        where = [field.pad(lung[::-1, ::-1, z].T, 0) for z in near] if recipe.needs_lungs else None
        return zip(near, look(near, where), strict=True)
    if "lung" in kept:
        return look_near_lungs(seen, spacing_mm, look, kept.index("lung"), nearer=nearer)
    return zip(seen, look(seen), strict=True)


def _axial_slices(volume: CTVolume, field: SquareField, seen: list[int]) -> Iterator[NDArray[np.generic]]:
    outside = AIR_HU if volume.units == "HU" else 0.0
    for z in seen:
        image = field.pad(volume.axial(z), outside)
        yield image if volume.units == "HU" else np.clip(np.rint(image), 0, 255).astype(np.uint8)


def picture_probabilities(
    pictures: PictureSet, segmenter: SliceSegmenter, *, progress: Step, lung_segmenter: SliceSegmenter | None = None
) -> list[Channels]:
    """Run the network over pictures.

    Args:
        pictures: the pictures.
        segmenter: the network.
        progress: called with (pictures done, pictures to do).
        lung_segmenter: gives the lungs where the network does not.

    Returns:
        Probabilities per picture, at the picture's own size.
    """
    if lung_segmenter is None:
        maps = picture_channels(pictures, segmenter, progress=progress)
    else:
        first, second = _halves(progress)
        lungs = [own["lung"] for own in picture_channels(pictures, lung_segmenter, progress=first)]
        found = picture_channels(pictures, segmenter, progress=second, lungs=lungs)
        maps = [{**own, "lung": lung} for own, lung in zip(found, lungs, strict=True)]
    return [Channels(own["lung"], own["infection"], own.get("consolidation")) for own in maps]


def picture_channels(
    pictures: PictureSet,
    segmenter: SliceSegmenter,
    *,
    progress: Step,
    lungs: Sequence[NDArray[np.uint8]] | None = None,
) -> list[dict[str, NDArray[np.uint8]]]:
    """Channel -> probability of each picture, at its own size; see `smoothed_channels`."""
    images = [picture.pixels for picture in pictures.slices]
    return smoothed_channels(images, "picture", segmenter, progress=progress, lungs=lungs)


def smoothed_channels(
    images: Sequence[NDArray[np.generic]],
    kind: Kind,
    segmenter: SliceSegmenter,
    *,
    progress: Step,
    lungs: Sequence[NDArray[np.uint8]] | None = None,
) -> list[dict[str, NDArray[np.uint8]]]:
    """Channel -> probability of each slice, at its own size.

    Slices that follow each other in a volume are smoothed from one to the next (see `smooth_alike`).

    Args:
        images: (rows, columns) each.
        kind: Hounsfield units or pictures.
        segmenter: the network.
        progress: called with (slices done, slices to do).
        lungs: lung probability of each slice, for a network that must be shown where the lungs are.
    """
    maps: list[dict[str, NDArray[np.uint8]]] = []
    for own in slice_channels(images, kind, segmenter, lungs=lungs):
        maps.append(own)
        progress(len(maps), len(images))
    # How much neighbours resemble each other was measured on pictures.
    smooth_alike(maps, [as_grey(image) for image in images])
    return maps


def slice_channels(
    images: Sequence[NDArray[np.generic]],
    kind: Kind,
    segmenter: SliceSegmenter,
    *,
    lungs: Sequence[NDArray[np.uint8]] | None = None,
) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Channel -> probability of each slice, at its own size, without smoothing.

    Args:
        images: (rows, columns) each, in the order in which they may follow each other in a volume.
        kind: Hounsfield units or pictures.
        segmenter: the network.
        lungs: lung probability of each slice, for a network that must be shown where the lungs are.
    """
    first = look_first(images, kind, segmenter)
    numbers = [number for number in range(len(images)) if first.another(number)]
    frames = LungFrames(segmenter.card.preprocessing, lungs, [first.boxes[number] for number in numbers])
    answers = segmenter.stream(frames.shown(images[number] for number in numbers), kind=kind)
    for number, image in enumerate(images):
        looks: list[Maps] = []
        if number in first.found:
            rows, columns = image.shape
            looks.append([at_own_size(plane, rows, columns) for plane in first.found[number]])
        if first.another(number):
            looks.append(list(frames.whole(next(answers))))
        yield dict(zip(segmenter.card.channels, mean_of_looks(*looks), strict=True))
