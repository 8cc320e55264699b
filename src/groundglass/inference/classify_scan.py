"""From slices to a scan: which slices are looked at, and how their answers become one.

Pneumonia is patchy, so a scan is judged by its most conspicuous slices: of up to `MOST_SLICES` slices spread over
the lungs, the third with the least probability of being normal decides, and the scan's probabilities are their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import cast

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Classification, DrivingSlice, Label
from groundglass.errors import OptionError
from groundglass.image.lung_view import LUNG_LEVEL
from groundglass.inference.cam import Attention, attention
from groundglass.inference.classify import SliceAnswer, SliceClassifier, SliceInput, conclude, domain_reasons
from groundglass.inference.scan import Channels
from groundglass.volume import CTVolume, PictureSet

MOST_SLICES = 24
DECIDING_SHARE = 1 / 3
SMALLEST_AREA = 0.25
"""Lung area of a slice, as a share of the largest in the scan, below which it is not looked at."""
SHOWN = 3
"""Driving slices that are drawn."""
NORMAL = "Normal"


@dataclass(frozen=True, eq=False)
class ShownSlice:
    """A slice that a classifier looks at.

    Attributes:
        number: counts from 1 at the head, or is the picture's place in its set.
        title: which slice it is, in words.
        input: the slice and what the segmentation found in it.
    """

    number: int
    title: str
    input: SliceInput


@dataclass(frozen=True, eq=False)
class Judgement:
    """An answer and what it rests on.

    Attributes:
        classification: of the scan, or of the set of pictures.
        attention: the driving slices with their heat maps, the most conspicuous first.
        pictures: for pictures, the answer for each of them; empty for a scan.
    """

    classification: Classification
    attention: list[Attention]
    pictures: list[Classification]


def slices_to_classify(lung_areas: NDArray[np.integer]) -> list[int]:
    """Numbers of at most `MOST_SLICES` slices, spread evenly over those with enough lung.

    Args:
        lung_areas: lung pixels of every slice.
    """
    largest = int(lung_areas.max(initial=0))
    if largest == 0:
        return []
    enough = np.flatnonzero(lung_areas >= SMALLEST_AREA * largest)
    places = np.linspace(0, len(enough) - 1, min(MOST_SLICES, len(enough)))
    return [int(enough[round(place)]) for place in places]


def deciding(probabilities: NDArray[np.float64], classes: Sequence[str]) -> list[int]:
    """The slices that decide: the `DECIDING_SHARE` least likely to be normal, the most conspicuous first.

    Args:
        probabilities: (slice, class).
        classes: names of the classes; where none is "Normal" the last stands for it ("NonCOVID" of two).
    """
    count = max(1, ceil(DECIDING_SHARE * len(probabilities)))
    healthy = classes.index(NORMAL) if NORMAL in classes else -1
    order = np.argsort(probabilities[:, healthy], kind="stable")
    return [int(index) for index in order[:count]]


def classify_volume(
    volume: CTVolume, channels: Channels, classifier: SliceClassifier, *, label: str | None = None
) -> Judgement | None:
    """Classify a scan.

    Args:
        volume: the scan.
        channels: what the segmentation network found, on its grid.
        classifier: the network.
        label: class whose evidence is shown; the likeliest when None.

    Returns:
        None where there is no lung.
    """
    shown = shown_of_volume(volume, channels)
    return judge(shown, classifier, label) if shown else None


def classify_pictures(
    pictures: PictureSet, channels: Sequence[Channels], classifier: SliceClassifier, *, label: str | None = None
) -> Judgement:
    """Classify pictures, each by itself, and the set of them as if it were a scan.

    Args:
        pictures: the pictures.
        channels: what the segmentation network found in each.
        classifier: the network.
        label: class whose evidence is shown; the likeliest when None.
    """
    return judge(shown_of_pictures(pictures, channels), classifier, label)


def shown_of_volume(volume: CTVolume, channels: Channels) -> list[ShownSlice]:
    """The slices of a scan that a classifier looks at (see `slices_to_classify`); none where there is no lung.

    Args:
        volume: the scan.
        channels: what the segmentation network found, on its grid.
    """
    depth = volume.geometry.shape[2]
    areas = np.array([np.count_nonzero(_plane(channels.lung, z) >= LUNG_LEVEL) for z in range(depth)])
    return [
        ShownSlice(
            depth - z,
            f"Slice {depth - z} of {depth}",
            SliceInput(_shown(volume, z), _plane(channels.lung, z), _plane(channels.infection, z)),
        )
        for z in slices_to_classify(areas)
    ]


def shown_of_pictures(pictures: PictureSet, channels: Sequence[Channels]) -> list[ShownSlice]:
    """All the pictures of a set, as a classifier looks at them.

    Args:
        pictures: the pictures.
        channels: what the segmentation network found in each.
    """
    pairs = zip(pictures.slices, channels, strict=True)
    return [
        ShownSlice(number, picture.name, SliceInput(picture.pixels, one.lung, one.infection))
        for number, (picture, one) in enumerate(pairs, start=1)
    ]


def class_named(label: str | None, classes: Sequence[str]) -> str | None:
    """The class of a classifier that a user names; capitals do not matter.

    Raises:
        OptionError: it has no such class.
    """
    if label is None:
        return None
    for name in classes:
        if name.lower() == label.lower():
            return name
    raise OptionError(f"no class {label!r}; expected one of {', '.join(classes)}")


def judge(shown: Sequence[ShownSlice], classifier: SliceClassifier, label: str | None = None) -> Judgement:
    """The answer for slices of one scan or one set of pictures.

    Args:
        shown: the slices, one at least.
        classifier: the network.
        label: class whose evidence is shown; the likeliest when None.
    """
    answers = list(classifier.answers([one.input for one in shown]))
    classes, terms = classifier.card.channels, classifier.terms
    each = np.stack([classifier.probabilities(answer) for answer in answers])
    strange = [domain_reasons(answer, terms) for answer in answers]
    known = [index for index, reasons in enumerate(strange) if not reasons]
    # Where every slice is strange, the answer is still shown, and why it must not be used.
    pool = known or list(range(len(answers)))
    chosen = [pool[index] for index in deciding(each[pool], classes)]
    overall = each[chosen].mean(axis=0)
    result = conclude(overall, classes, terms, _doubts(strange, len(known)))
    shown_class = label or classes[int(overall.argmax())]
    views = [attention(shown[i].title, shown[i].input, answers[i], classes, shown_class) for i in chosen]
    driving = [_driving(shown[i].number, each[i], classes, view) for i, view in zip(chosen, views, strict=True)]
    return Judgement(
        result.model_copy(update={"slices": driving}),
        views[:SHOWN],
        [classifier.classification(answer) for answer in answers],
    )


def _doubts(strange: Sequence[Sequence[str]], known: int) -> list[str]:
    """Why the whole must not be judged: half of the slices, or more, lie outside of what the network knows."""
    if len(strange) == 1:
        return list(strange[0])
    if 2 * known >= len(strange) and known:
        return []
    reasons = [reason for one in strange for reason in one]
    return [f"{len(strange) - known} of {len(strange)} slices cannot be judged, for example: {reasons[0]}"]


def _driving(number: int, probabilities: NDArray[np.float64], classes: Sequence[str], view: Attention) -> DrivingSlice:
    shares = {cast(Label, name): round(float(p), 4) for name, p in zip(classes, probabilities, strict=True)}
    percent = None if view.in_lungs is None else round(100.0 * view.in_lungs, 1)
    return DrivingSlice(slice=number, probabilities=shares, attention_in_lungs_percent=percent)


def _shown(volume: CTVolume, z: int) -> NDArray[np.generic]:
    image = volume.axial(z)
    return image if volume.units == "HU" else np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _plane(values: NDArray[np.uint8], z: int) -> NDArray[np.uint8]:
    """An axial slice (rows, columns) in display order of a map (x, y, z)."""
    return values[::-1, ::-1, z].T


__all__ = [
    "Judgement",
    "ShownSlice",
    "SliceAnswer",
    "class_named",
    "classify_pictures",
    "classify_volume",
    "deciding",
    "judge",
    "shown_of_pictures",
    "shown_of_volume",
    "slices_to_classify",
]
