"""The classifier of a run, scored on labelled slices: its answers, and which slices it has learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import ModelRecord
from groundglass.evaluation.classes.answers import Answer, LabelledPicture
from groundglass.training.classification.learner import BEST
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.run import PRESET, listed
from groundglass.training.classification.splits import Split, split_slices
from groundglass.training.classification.trained import RunClassifier


class ScoredRun:
    """The network of a finished run as `groundglass.evaluation.classes` asks it; it never abstains.

    Attributes:
        run: the network.
    """

    protocol = "Each slice by itself, shown to the network as in training; probabilities are not calibrated."

    def __init__(self, run: RunClassifier) -> None:
        """Take a run.

        Args:
            run: the network.
        """
        self.run = run
        with (self.run.place / BEST).open("rb") as weights:
            self._sha256 = hashlib.file_digest(weights, "sha256").hexdigest()

    @property
    def name(self) -> str:
        """Name of the preset."""
        return self.run.preset.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.run.classes

    @property
    def models(self) -> list[ModelRecord]:
        """The network, with the checksum of its weights."""
        return [ModelRecord(name=self.name, sha256=self._sha256, gave=["class"])]

    def read(self, one: LabelledPicture) -> NDArray[np.generic]:
        """The picture of a slice, decoded as in training.

        Raises:
            DatasetError: it cannot be read.
        """
        return one.image

    def answers(self, images: Sequence[NDArray[np.generic]]) -> list[Answer]:
        """The likeliest class of each picture, in order."""
        shares = self.run.probabilities(self.run.look(images))
        return [Answer(one, self.classes[int(one.argmax())]) for one in shares]

    def own_parts(self, slices: Sequence[LabelledSlice]) -> Split | None:
        """The parts into which the run divided these very slices; None where it learned from other data."""
        settings = json.loads((self.run.place / PRESET).read_text(encoding="utf-8"))
        if settings.get("slices") != listed(slices):
            return None
        return split_slices(slices, seed=settings["seed"])
