"""A volume with labels that can be read when it is needed, and what is known of it before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.errors import DatasetError
from groundglass.evaluation.planes import Plane, is_drawn, read_mask
from groundglass.image.prepare import Kind
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample, unlabelled


@dataclass(frozen=True)
class LabelledVolume:
    """Slices of one volume of one patient.

    Attributes:
        name: Unique within the data set.
        patient: Who it is of; a split never separates the volumes of a patient.
        fold: Fold of the patient, where the data set says so.
        source: Layout it was found in.
        files: Everything that `load` reads.
        load: Reads the slices, in order from one end of the volume to the other.
        extra: Always learned from, in no fold: healthy scans, single slices, negatives.
        images: Those of the files, or folders of files, that are no labels.
    """

    name: str
    patient: str
    fold: int | None
    source: str
    files: tuple[Path, ...]
    load: Callable[[], list[Sample]]
    extra: bool = False
    images: tuple[Path, ...] = ()


def labelled_sample(name: str, group: str, image: Plane, kind: Kind, labels: dict[int, NDArray[np.bool_]]) -> Sample:
    """A slice of which some channels are drawn; what follows for the others is worked out.

    Infection lies in the lungs: without drawn lungs the infected pixels are lung; without drawn infection
    there is none outside the lungs. What is not infected is not consolidated.

    Args:
        name: For logs.
        group: Volume.
        image: ``[row, column]``.
        kind: Of the image.
        labels: Channel -> mask ``[row, column]``.
    """
    masks, known = unlabelled(image)
    for channel, mask in labels.items():
        masks[channel], known[channel] = mask, 1
    if INFECTION in labels and LUNG not in labels:
        masks[LUNG] = known[LUNG] = masks[INFECTION]
    if INFECTION not in labels and LUNG in labels:
        known[INFECTION] = ~ndimage.binary_dilation(masks[LUNG], iterations=3)
    if CONSOLIDATION not in labels:
        known[CONSOLIDATION] = known[INFECTION] & (1 - masks[INFECTION])
    return Sample(name, group, kind, image, masks, known)


def read_drawn(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask picture, drawn as 0/255 or as 0/1.

    Raises:
        InputError: It is no picture.
        DatasetError: It is of another size than its slice.
    """
    stored = read_mask(path)
    if stored.shape != tuple(shape):
        raise DatasetError(
            f"the mask {path} has {stored.shape[1]} x {stored.shape[0]} pixels, its slice {shape[1]} x {shape[0]}; "
            "expected the same size"
        )
    return is_drawn(stored)
