"""A labelled slice of a classification data set, and what its label says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError

CLASSES: tuple[str, ...] = ("COVID", "OtherPneumonia", "Normal")

ALLOWED: dict[str, tuple[int, int, int]] = {
    "COVID": (1, 0, 0),
    "OtherPneumonia": (0, 1, 0),
    "Normal": (0, 0, 1),
    "NonCOVID": (0, 1, 1),
    "Pneumonia": (1, 1, 0),
}
"""Which of `CLASSES` a label leaves open: `NonCOVID` may be another pneumonia or normal."""

ALIASES = {
    "cov": "COVID",
    "covid": "COVID",
    "covid-19": "COVID",
    "covid19": "COVID",
    "ncp": "COVID",
    "otherpneumonia": "OtherPneumonia",
    "pneumonia": "OtherPneumonia",
    "cap": "OtherPneumonia",
    "cp": "OtherPneumonia",
    "normal": "Normal",
    "healthy": "Normal",
    "noncovid": "NonCOVID",
    "non-covid": "NonCOVID",
    "nocovid": "NonCOVID",
    "noncov": "NonCOVID",
}


def label_of(name: str) -> str:
    """The label that a folder or a CSV column means; capitals, blanks and underscores do not matter.

    Raises:
        DatasetError: no label of that name.
    """
    label = ALIASES.get(name.strip().lower().replace(" ", "").replace("_", ""))
    if label is None:
        raise DatasetError(f"the class name {name!r} is not known; expected one of {', '.join(sorted(ALIASES))}")
    return label


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with its label.

    Attributes:
        name: file, or volume and slice.
        source: data set it comes from.
        patient: whose slice it is; None where nobody knows.
        label: a key of `ALLOWED`.
        split: `train`, `val`, `test`, or empty where the data set does not say.
        image: (rows, columns): uint8 grey or int16 Hounsfield units.
    """

    name: str
    source: str
    patient: str | None
    label: str
    split: str
    image: NDArray[np.generic]

    @property
    def group(self) -> str:
        """What must not be split: the patient, else the slice."""
        return f"{self.source}/{self.patient or self.name}"

    @property
    def allowed(self) -> tuple[int, int, int]:
        """1 for each of `CLASSES` that the label leaves open."""
        return ALLOWED[self.label]
