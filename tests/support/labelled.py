"""Labelled slices, and a classifier that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import ModelRecord
from groundglass.evaluation.classes.answers import Answer, Judged, LabelledPicture
from groundglass.evaluation.classes.run import ClassesOptions
from groundglass.image.lung_view import as_grey
from groundglass.training.classification.records import LabelledSlice
from tests.support.thorax import small_chest

CLASSES = ("COVID", "OtherPneumonia", "Normal")
OPTIONS = ClassesOptions("made")


def labelled(
    name: str, label: str, *, patient: str | None = None, source: str = "made", grey: int = 0, path: Path | None = None
) -> LabelledSlice:
    held = np.full((40, 40), grey, np.uint8) if path is None else path
    return LabelledSlice(name, source, patient, label, "", held)


def judged(label: str, covid: float, answer: str | None, **more: str) -> Judged:
    """A slice whose other classes share what COVID leaves, 3 to 1."""
    shares = np.array([covid, 0.75 * (1 - covid), 0.25 * (1 - covid)])
    one = labelled(more.get("name", f"{label}-{covid}"), label, patient=more.get("patient"))
    return Judged(one, Answer(shares, answer, () if answer else ("unsure",)))


class GreyClassifier:
    """The brighter a picture the likelier COVID; between 120 and 135 it does not say."""

    name = "grey"
    classes = CLASSES
    protocol = "By the mean grey."

    @property
    def models(self) -> list[ModelRecord]:
        return [ModelRecord(name="grey", sha256="0" * 64)]

    def read(self, one: LabelledPicture) -> NDArray[np.generic]:
        return one.image

    def answers(self, images: Sequence[NDArray[np.generic]]) -> list[Answer]:
        return [self._answer(float(np.mean(image.astype(np.float64))) / 255) for image in images]

    def _answer(self, covid: float) -> Answer:
        if 120 / 255 < covid < 135 / 255:
            return Answer(np.array([covid, 1 - covid, 0.0]), None, ("neither bright nor dark",))
        return Answer(np.array([covid, 0.0, 1 - covid]), "COVID" if covid >= 0.5 else "Normal")


def write_chests(folder: Path) -> Path:
    """Two slices of the small chest with lesions, and two in which they were painted over, in folders of classes."""
    chest = small_chest()
    infected = np.count_nonzero(chest.infection.labels, axis=(0, 1))
    for z in np.argsort(infected)[-2:]:
        sick = np.asarray(chest.volume.axial(int(z)))
        lesion = np.asarray(chest.infection.labels[::-1, ::-1, z].T) > 0
        for name, image in (("COVID", sick), ("NonCOVID", np.where(lesion, -850, sick))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture = cv2.resize(as_grey(image.astype(np.float32)), (320, 320), interpolation=cv2.INTER_LINEAR)
            cv2.imwrite(str(folder / name / f"{z}.png"), picture)
    return folder
