"""A labelled slice of a classification data set, and what its label says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
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


def read_grey(path: Path) -> NDArray[np.uint8]:
    """An 8-bit grey picture (rows, columns).

    Raises:
        DatasetError: it cannot be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DatasetError(f"{path} cannot be read as a picture; expected PNG, JPEG, BMP or TIFF")
    return np.asarray(picture, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with its label. A slice in a file is read when it is looked at, so a long list of slices is small.

    Attributes:
        name: file, or volume and slice.
        source: data set it comes from.
        patient: whose slice it is; None where nobody knows.
        label: a key of `ALLOWED`.
        split: `train`, `val`, `test`, or empty where the data set does not say.
        held: the image, or the file that it is in.
    """

    name: str
    source: str
    patient: str | None
    label: str
    split: str
    held: NDArray[np.generic] | Path

    @property
    def image(self) -> NDArray[np.generic]:
        """The slice (rows, columns): uint8 grey or int16 Hounsfield units.

        Raises:
            DatasetError: its file cannot be read.
        """
        return read_grey(self.held) if isinstance(self.held, Path) else self.held

    @property
    def group(self) -> str:
        """What must not be split: the patient, else the slice."""
        return f"{self.source}/{self.patient or self.name}"

    @property
    def allowed(self) -> tuple[int, int, int]:
        """1 for each of `CLASSES` that the label leaves open."""
        return ALLOWED[self.label]
