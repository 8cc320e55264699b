"""Shows a network the part of each slice that it learned from, and puts its answers back in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.lung_view import LUNG_LEVEL, Box, lung_box, shows_lungs
from groundglass.image.prepare import Preprocessing
from groundglass.inference.segment import at_own_size

AIR_HU = -1024.0


class LungFrames:
    """Frames slices as `Preprocessing.lung_frame` and `lungs_alone` say; whole slices where no lungs are given.

    One object serves one pass: `shown` gives the slices to the network, `whole` takes its answers in the same order.
    """

    def __init__(
        self,
        recipe: Preprocessing,
        lungs: Sequence[NDArray[np.uint8]] | None,
        boxes: Sequence[Box | None] | None = None,
    ) -> None:
        """Find the box that is common to all slices, where one is wanted.

        Args:
            recipe: what the network expects to see.
            lungs: probability of lung of each slice (rows, columns), 0..255.
            boxes: the part of each slice to show where no lungs are given (see `zoom`); None for a whole slice.
        """
        self._given = boxes
        self._recipe = recipe
        self._lungs = lungs if recipe.needs_lungs else None
        self._boxes: deque[tuple[Box, tuple[int, int]]] = deque()
        self._common = self._common_box() if recipe.lung_frame == "volume" and self._lungs else None

    def _common_box(self) -> Box | None:
        boxes = [self._own_box(lung) for lung in self._lungs or ()]
        known = [box for box in boxes if box is not None]
        if not known:
            return None
        return Box(
            min(box.top for box in known),
            max(box.bottom for box in known),
            min(box.left for box in known),
            max(box.right for box in known),
        )

    def _own_box(self, lung: NDArray[np.uint8]) -> Box | None:
        """The box around the lungs of a slice; None where it shows too little of them."""
        return lung_box(lung, margin=self._recipe.lung_margin) if shows_lungs(lung) else None

    def shown(self, slices: Iterable[NDArray[np.generic]]) -> Iterator[NDArray[np.generic]]:
        """The part of each slice (rows, columns) that the network is shown."""
        for number, image in enumerate(slices):
            rows, columns = image.shape
            given = self._given[number] if self._given is not None else None
            box = given or Box(0, rows, 0, columns)
            if self._lungs is not None:
                lung = self._lungs[number]
                if self._recipe.lungs_alone:
                    image = _lungs_alone(image, lung)
                if self._recipe.lung_frame != "whole":
                    box = self._common or self._own_box(lung) or box
            self._boxes.append((box, (rows, columns)))
            yield box.of(image)

    def whole(self, result: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """The channels of the next answer, each at the size of its slice; 0 outside what was shown.

        Args:
            result: the answer, uint8 (channel, size, size).
        """
        box, (rows, columns) = self._boxes.popleft()
        for channel in result:
            part = at_own_size(channel, box.bottom - box.top, box.right - box.left)
            if part.shape == (rows, columns):
                yield part
                continue
            plane = np.zeros((rows, columns), np.uint8)
            plane[box.top : box.bottom, box.left : box.right] = part
            yield plane


def _lungs_alone(image: NDArray[np.generic], lung: NDArray[np.uint8]) -> NDArray[np.generic]:
    """The slice with everything black that is not lung; holes in the lungs, which vessels and lesions leave, stay."""
    outlines, _ = cv2.findContours((lung >= LUNG_LEVEL).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return image
    inside = np.asarray(cv2.drawContours(np.zeros(lung.shape, np.uint8), outlines, -1, (1.0,), cv2.FILLED))
    black = 0 if image.dtype == np.uint8 else AIR_HU
    return np.where(inside > 0, image, np.asarray(black, dtype=image.dtype))
