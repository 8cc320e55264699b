"""Probabilities of lung, infection and consolidation for slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import UnusableModelError
from groundglass.image.prepare import Kind, resize, views
from groundglass.inference.engine import Engine, Precision
from groundglass.models.catalog import ModelCard, load_card

FULL = 255
"""Value of a stored probability of 1."""


class SliceSegmenter:
    """Segments axial slices with the network of a model card.

    Attributes:
        card: The card; ``card.channels`` names the channels in the order of the results.
    """

    def __init__(
        self,
        card: ModelCard | None = None,
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        cache: Path | None = None,
    ) -> None:
        """Verifies and compiles the network.

        Args:
            card: The network; the shipped one by default.
            precision: As for `Engine`.
            threads: As for `Engine`.
            cache: As for `Engine`.

        Raises:
            WeightsMissingError: The weights file is not there.
            WeightsCorruptError: The weights file is not the one of the card.
            UnusableModelError: It is no such network as its card says.
        """
        self.card = card or load_card()
        weights = self.card.verify()
        quantised = self.card.verify_quantised()
        self._engine = Engine(weights, quantised=quantised, precision=precision, threads=threads, cache=cache)
        promised = (len(self.card.channels), len(self.card.thresholds), self.card.preprocessing.size)
        if promised != (self._engine.channels, self._engine.channels, self.size):
            raise UnusableModelError(
                f"{weights} gives {self._engine.channels} channels of {self.size} pixels; its card names "
                f"{promised[0]} channels, {promised[1]} thresholds and {promised[2]} pixels; expected the same"
            )

    @property
    def size(self) -> int:
        """Side of the probability maps, pixels."""
        return self._engine.size

    @property
    def precision(self) -> str:
        """What the network computes in: ``"int8"``, ``"bf16"`` or ``"f32"``."""
        return self._engine.precision

    def stream(self, slices: Iterable[NDArray[np.generic]], *, kind: Kind) -> Iterator[NDArray[np.uint8]]:
        """Segments slices one after another; memory does not grow with their number.

        Args:
            slices: ``[row, column]`` each, of any size, in display orientation (row 0 anterior, column 0 the
                patient's right; other orientations are understood, less well).
            kind: ``"hu"`` for Hounsfield units, ``"picture"`` for 8-bit grey.

        Yields:
            uint8 ``[channel, size, size]`` per slice, in order: probability times 255, rounded.
        """
        recipe = self.card.preprocessing
        shown = (view for image in slices for view in views(image, kind, recipe))
        mirrored = recipe.mirrored(kind)
        found = self._engine.infer(shown)
        # The views of one slice follow each other.
        for first in found:
            total, count = first.copy(), len(mirrored)
            for flip in mirrored[1:]:
                other = next(found)
                total += other[:, :, ::-1] if flip else other
            yield self._stored(total * (FULL / count))

    def _stored(self, scaled: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Maps of a coarse slice are enlarged to the side of all others."""
        if scaled.shape[1] != self.size:
            scaled = np.stack([np.asarray(resize(one, self.size, self.size), np.float32) for one in scaled])
        return np.asarray(np.rint(scaled), dtype=np.uint8)

    def probabilities(
        self,
        slices: Iterable[NDArray[np.generic]],
        *,
        kind: Kind,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Segments slices into one array.

        Args:
            slices: As in `stream`.
            kind: As in `stream`.
            progress: Called with the number of slices done.

        Returns:
            uint8 ``[slice, channel, size, size]``: probability times 255 (see `at_own_size`).
        """
        maps: list[NDArray[np.uint8]] = []
        for result in self.stream(slices, kind=kind):
            maps.append(result)
            if progress is not None:
                progress(len(maps))
        if not maps:
            return np.zeros((0, len(self.card.channels), self.size, self.size), np.uint8)
        return np.stack(maps)


def at_own_size(probability: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Resizes one probability map ``[row, column]`` to the rows and columns of its slice."""
    return np.asarray(resize(probability, rows, columns), dtype=np.uint8)


def threshold_level(threshold: float) -> int:
    """The stored value from which a probability counts as at least ``threshold``."""
    return int(np.ceil(threshold * FULL))
