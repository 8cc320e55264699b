"""Reading label maps: the masks of an analysis, or a mask that a user brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from groundglass.errors import InputNotFoundError, InvalidImageError
from groundglass.io.read import read_input
from groundglass.volume import CTVolume, LabelMap, Source


def require_label_map(path: Path) -> None:
    """Find out before the work whether a mask is there.

    Raises:
        InputNotFoundError: no such file.
    """
    if not path.is_file():
        raise InputNotFoundError(f"{path} is missing; expected a label map (NIfTI, NRRD or MHA)")


def read_label_map(path: Path, case: str, names: Mapping[int, str]) -> LabelMap:
    """Read a mask.

    Args:
        path: NIfTI, NRRD or MHA of whole numbers from 0 to 255.
        case: name of the case.
        names: label value -> name; where it is empty, any label is accepted.

    Raises:
        InputNotFoundError: no such file.
        UnreadableFileError: damaged.
        InvalidImageError: values other than labels.
    """
    require_label_map(path)
    volume = read_input(path)
    highest = max(names) if names else 255
    if not isinstance(volume, CTVolume):
        raise InvalidImageError(f"{path} is a picture; expected a label map (NIfTI, NRRD or MHA)")
    if any(finding.code == "non-finite-voxels" for finding in volume.findings):
        raise InvalidImageError(
            f"{path} holds values that are no numbers (NaN or infinite); expected whole numbers from 0 to {highest}; "
            "save it as a label map"
        )
    with np.errstate(invalid="ignore"):
        labels = volume.values.astype(np.uint8, order="F")
    if volume.values.min() < 0 or volume.values.max() > highest or not np.array_equal(labels, volume.values):
        wrong = volume.values[(labels != volume.values) | (labels > highest)][0]
        raise InvalidImageError(
            f"{path} holds the value {wrong:g}; expected whole numbers from 0 to {highest}; save it as a label map"
        )
    source = Source(case, volume.source.format, volume.source.geometry)
    return LabelMap(labels, volume.geometry, names, source)
