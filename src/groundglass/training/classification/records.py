"""A labelled slice of a classification data set, and what its label says."""

from __future__ import annotations

import re
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

NAMES: dict[str, tuple[str, ...]] = {
    "COVID": (
        "COV",
        "COVID",
        "COVID-19",
        "COVID+",
        "COVID positive",
        "COVID-19 positive",
        "COVID pneumonia",
        "COVID-19 pneumonia",
        "NCP",
        "SARS-CoV-2",
    ),
    "NonCOVID": (
        "NonCOVID",
        "NonCOVID-19",
        "NonCOV",
        "NoCOVID",
        "NoCOV",
        "not COVID",
        "COVID-",
        "COVID negative",
        "COVID-19 negative",
    ),
    "OtherPneumonia": (
        "OtherPneumonia",
        "pneumonia",
        "bacterial",
        "bacterial pneumonia",
        "viral",
        "viral pneumonia",
        "common pneumonia",
        "CP",
        "community acquired pneumonia",
        "CAP",
        "NonCOVID pneumonia",
        "NonCOVID-19 pneumonia",
    ),
    "Normal": ("normal", "healthy", "healthy control", "healthy controls", "no finding", "no findings", "no pneumonia"),
}
"""What folders and tables call a label."""
PARTS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing"),
}
"""What folders and tables call a part of a data set."""


def _plain(name: str) -> str:
    """Small letters without what joins words; a hyphen or plus at the end says negative or positive and stays."""
    return re.sub(r"[\s_-]+(?=[^\s_-])", "", name.strip(" _").casefold())


def _by_name(known: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {_plain(name): key for key, names in known.items() for name in names}


def _listed(known: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{key} ({', '.join(names)})" for key, names in known.items())


_LABELS, _PARTS = _by_name(NAMES), _by_name(PARTS)
KNOWN_LABELS, KNOWN_PARTS = _listed(NAMES), _listed(PARTS)
"""The names that are known, for messages."""


def find_label(name: str) -> str | None:
    """The label that a name means, as `label_of`; None where it means none."""
    plain = _plain(name)
    return _LABELS.get(plain) or _LABELS.get(plain.removeprefix("ct"))


def label_of(name: str) -> str:
    """The label that a folder or a CSV column means.

    Capitals, a first `CT`, and blanks, hyphens and underscores between words do not matter.

    Raises:
        DatasetError: no label of that name.
    """
    label = find_label(name)
    if label is None:
        raise DatasetError(f"the class name {name!r} is not known; expected one of {KNOWN_LABELS}")
    return label


def find_part(name: str) -> str | None:
    """The part that a name means, as `part_of`; None where it means none."""
    return _PARTS.get(_plain(name))


def part_of(name: str) -> str:
    """`train`, `val` or `test`: the part that a folder or a CSV column means; capitals do not matter.

    Raises:
        DatasetError: no part of that name.
    """
    part = find_part(name)
    if part is None:
        raise DatasetError(f"the part {name!r} is not known; expected one of {KNOWN_PARTS}")
    return part


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
