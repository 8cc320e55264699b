"""What a classifier answers for labelled slices, one picture after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import CLASS_NAMES, ModelRecord
from groundglass.errors import DatasetError, GroundglassError, WeightsMissingError
from groundglass.evaluation.classes.records import NotScored
from groundglass.image.lung_view import as_grey
from groundglass.inference.classify_scan import classify_pictures
from groundglass.inference.scan import Networks, picture_probabilities
from groundglass.io.raster import read_slice
from groundglass.options import AnalysisOptions
from groundglass.progress import Progress, silent
from groundglass.settings import Settings
from groundglass.volume import PictureSet, Slice2D

COVID = "COVID"
NOT_COVID = "NonCOVID"
"""The class, or the label, of everything but COVID."""
AS_ANALYZE_READS = {".png", ".jpg", ".jpeg"}
AT_ONCE = 16
"""Pictures in memory at a time."""


class LabelledPicture(Protocol):
    """A slice with its label, as a data set lists it; its picture is read when it is looked at."""

    @property
    def name(self) -> str:
        """File, or volume and slice."""

    @property
    def source(self) -> str:
        """Data set that it comes from."""

    @property
    def patient(self) -> str | None:
        """Whose slice it is; None where nobody knows."""

    @property
    def label(self) -> str:
        """What the data set says of it."""

    @property
    def allowed(self) -> tuple[int, int, int]:
        """1 for each of COVID, OtherPneumonia and Normal that the label leaves open."""

    @property
    def group(self) -> str:
        """What the bootstrap must not take apart: the patient, else the slice."""

    @property
    def held(self) -> NDArray[np.generic] | Path:
        """The picture, or the file that it is in."""

    @property
    def image(self) -> NDArray[np.generic]:
        """The picture (rows, columns): 8-bit grey, or Hounsfield units."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a classifier says of one slice.

    Attributes:
        probabilities: (class,), 0..1.
        label: the class that it names; None where it abstains.
        reasons: why it abstains, in plain words.
    """

    probabilities: NDArray[np.float64]
    label: str | None
    reasons: tuple[str, ...] = ()


class Classifier(Protocol):
    """What can be scored: the shipped classifier, or the network of a run."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities; COVID is the first."""

    @property
    def models(self) -> list[ModelRecord]:
        """The networks that take part, with their checksums."""

    @property
    def protocol(self) -> str:
        """How a picture becomes an answer, in a sentence or two."""

    def read(self, one: LabelledPicture) -> NDArray[np.generic]:
        """The picture of a slice, as this classifier is shown it.

        Raises:
            InputError: it cannot be read.
        """

    def answers(self, images: Sequence[NDArray[np.generic]]) -> list[Answer]:
        """Answers for pictures, in order."""


class ShippedClassifier:
    """The classifier of the package, asked as `analyze` asks it: each picture by itself, lungs and lesions first."""

    protocol = (
        "Each slice by itself, as analyze sees a single picture: lungs and lesions found by the segmentation network, "
        "calibrated probabilities, and no answer where the program abstains."
    )

    def __init__(self, networks: Networks | None = None) -> None:
        """Load the networks.

        Args:
            networks: loaded ones.

        Raises:
            ModelError: a network is missing or damaged.
        """
        self.networks = networks or Networks.load(AnalysisOptions(), Settings.from_environment())
        if self.networks.classifier is None:
            raise WeightsMissingError("this installation has no classifier; reinstall groundglass")
        self.classifier = self.networks.classifier

    @property
    def name(self) -> str:
        """What the page calls it."""
        return "The shipped classifier"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifier.card.channels

    @property
    def models(self) -> list[ModelRecord]:
        """The networks of an analysis."""
        return self.networks.records

    def read(self, one: LabelledPicture) -> NDArray[np.generic]:
        """The picture of a slice, decoded as `analyze` does.

        Raises:
            InputError: it cannot be read.
        """
        if isinstance(one.held, Path) and one.held.suffix.lower() in AS_ANALYZE_READS:
            return read_slice(one.held).pixels
        return as_grey(one.image)

    def answers(self, images: Sequence[NDArray[np.generic]]) -> list[Answer]:
        """Answers for pictures, in order; none depends on its neighbours."""
        return [self._answer(np.asarray(image, np.uint8)) for image in images]

    def _answer(self, image: NDArray[np.uint8]) -> Answer:
        picture = PictureSet("picture", (Slice2D(image, "picture"),))
        segmenter, lungs = self.networks.segmenter, self.networks.lung_segmenter
        maps = picture_probabilities(picture, segmenter, progress=lambda *_: None, lung_segmenter=lungs)
        (said,) = classify_pictures(picture, maps, self.classifier).pictures
        shares = {str(name): share for name, share in said.probabilities.items()}
        return Answer(np.array([shares[name] for name in self.classes]), said.label, tuple(said.reasons))


@dataclass(frozen=True, eq=False)
class Judged:
    """A labelled slice and what was answered.

    Attributes:
        slice: the slice; its picture is not kept.
        answer: the answer.
    """

    slice: LabelledPicture
    answer: Answer

    @property
    def covid(self) -> bool:
        """Whether the label says COVID."""
        return self.slice.allowed[0] == 1

    @property
    def right(self) -> bool | None:
        """Whether the answer may be true by the label; None without an answer."""
        if self.answer.label is None:
            return None
        if self.answer.label == COVID:
            return self.covid
        possible = {name for name, open_ in zip(CLASS_NAMES, self.slice.allowed, strict=True) if open_}
        return bool(possible - {COVID}) if self.answer.label == NOT_COVID else self.answer.label in possible


def collect_answers(
    slices: Sequence[LabelledPicture], classifier: Classifier, *, progress: Progress = silent
) -> tuple[list[Judged], list[NotScored]]:
    """Ask a classifier about slices; one that cannot be read is listed and the others go on.

    Args:
        slices: what is asked about.
        classifier: who is asked.
        progress: called with ("slices", done, total).
    """
    found: list[Judged] = []
    failed: list[NotScored] = []
    for start in range(0, len(slices), AT_ONCE):
        progress("slices", start, len(slices))
        readable = list(_readable(slices[start : start + AT_ONCE], classifier, failed))
        answers = classifier.answers([image for _, image in readable]) if readable else []
        found += [Judged(one, answer) for (one, _), answer in zip(readable, answers, strict=True)]
    progress("slices", len(slices), len(slices))
    return found, failed


def _readable(
    slices: Sequence[LabelledPicture], classifier: Classifier, failed: list[NotScored]
) -> Iterator[tuple[LabelledPicture, NDArray[np.generic]]]:
    for one in slices:
        try:
            _require_told(one)
            yield one, classifier.read(one)
        except GroundglassError as error:
            failed.append(NotScored(slice=one.name, source=one.source, error=type(error).__name__, message=str(error)))


def _require_told(one: LabelledPicture) -> None:
    if one.allowed[0] and sum(one.allowed) > 1:
        raise DatasetError(
            f"{one.name}: the label {one.label} leaves open whether this is COVID; expected one that says"
        )
