"""Where in a slice the classifier's answer comes from, without torch.

The shipped classifier is linear in the mean of its last feature map. Its class activation map (Zhou et al. 2016), the
feature map weighted by a class's weights, therefore adds up to the logit exactly, and equals Grad-CAM (Selvaraju et al.
2017) up to a constant factor. For COVID that logit is the log odds against everything else; for other pneumonia and
normal it is the log odds of one against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.lung_view import LUNG_LEVEL, Box, as_grey
from groundglass.inference.classify import SliceAnswer, SliceInput


def heat(answer: SliceAnswer, index: int) -> NDArray[np.float32]:
    """Evidence for one class, 0..1: the positive part of its activation map, the largest value being 1.

    Args:
        answer: of the network for one slice.
        index: number of the class.

    Returns:
        float32 (n, n) over the slice's box; all zero where nothing speaks for the class.
    """
    positive = np.maximum(answer.activation[index], 0.0)
    top = float(positive.max())
    return np.asarray(positive / top if top > 0 else positive, dtype=np.float32)


def on_slice(heat_map: NDArray[np.float32], box: Box, rows: int, columns: int) -> NDArray[np.float32]:
    """A heat map carried onto its slice.

    Args:
        heat_map: (n, n), values 0..1.
        box: part of the slice that it covers.
        rows: of the slice.
        columns: of the slice.

    Returns:
        float32 (rows, columns), bicubic, 0..1; zero outside of the box.
    """
    whole = np.zeros((rows, columns), np.float32)
    size = (box.right - box.left, box.bottom - box.top)
    grown = cv2.resize(heat_map.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    whole[box.top : box.bottom, box.left : box.right] = np.clip(grown, 0.0, 1.0)
    return whole


def attention_in_lungs(heat_map: NDArray[np.float32], lung: NDArray[np.uint8]) -> float | None:
    """Share of a heat map (rows, columns) that lies in the lungs (probability 0..255, same shape), 0..1.

    None where there is no heat.
    """
    total = float(heat_map.sum())
    return float(heat_map[lung >= LUNG_LEVEL].sum()) / total if total > 0 else None


Method = Literal["grad-cam", "grad-cam++"]
"""How heat maps are made: Selvaraju et al. 2017; Chattopadhyay et al. 2018."""


@dataclass(frozen=True, eq=False)
class Attention:
    """A slice that drove an answer, and where in it the evidence lies.

    Attributes:
        title: which slice it is, in words.
        grey: uint8 (rows, columns).
        heat: float32 (rows, columns), 0..1.
        label: class that the heat speaks for.
        lung: uint8 (rows, columns), probability of lung, 0..255.
    """

    title: str
    grey: NDArray[np.uint8]
    heat: NDArray[np.float32]
    label: str
    lung: NDArray[np.uint8]

    @property
    def in_lungs(self) -> float | None:
        """Share of the heat inside the lungs, 0..1; None where there is no heat."""
        return attention_in_lungs(self.heat, self.lung)


def attention(title: str, shown: SliceInput, answer: SliceAnswer, classes: Sequence[str], label: str) -> Attention:
    """The heat map of one class on its slice.

    Args:
        title: which slice it is, in words.
        shown: the slice.
        answer: of the network for it.
        classes: names of the classes in the order of the network.
        label: class whose evidence is shown.
    """
    rows, columns = shown.lung.shape
    hot = on_slice(heat(answer, list(classes).index(label)), answer.box, rows, columns)
    # A copy: a view would keep the lungs of the whole scan in memory.
    return Attention(title, as_grey(shown.image), hot, label, shown.lung.copy())
