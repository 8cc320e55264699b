"""The network that finds the lungs for a preparation or an image stage: the shipped one, or one of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import UnknownModelError, UnusableModelError
from groundglass.image.prepare import Kind
from groundglass.inference.segment import SliceSegmenter, at_own_size
from groundglass.models.catalog import SEGMENTATION, ModelCard
from groundglass.models.place import card_at

NETWORK: Final = "network"
"""How presets name the shipped network."""
CLASSICAL: Final = "classical"
"""How presets name lungs by thresholds and connectivity."""
LUNG = "lung"


def lung_card(source: str) -> ModelCard:
    """The card of the network that a preset names for its lungs.

    Args:
        source: ``"network"`` for the shipped one, or the place of another (a run of ``lungs-bcdunet``, an ONNX file).

    Raises:
        UnknownModelError: nothing of that kind there.
        UnusableModelError: a network that does not find lungs in whole slices.
    """
    try:
        card = card_at(SEGMENTATION if source == NETWORK else source)
    except UnknownModelError as error:
        raise UnknownModelError(
            f'lungs = "{source}" of the preset is neither "{NETWORK}" nor "{CLASSICAL}", so it is taken for the place '
            f"of a network: {error}"
        ) from error
    if LUNG not in card.channels or card.preprocessing.needs_lungs:
        shown = "slices cropped to the lungs" if card.preprocessing.needs_lungs else "whole slices"
        raise UnusableModelError(
            f'lungs = "{source}" of the preset names the model {card.name}, which finds {", ".join(card.channels)} in '
            f"{shown}; expected one that finds '{LUNG}' in whole slices, such as a run of lungs-unet or lungs-bcdunet"
        )
    return card


def lung_probabilities(
    slices: Iterable[NDArray[np.generic]], *, kind: Kind, source: str = NETWORK
) -> list[NDArray[np.uint8]]:
    """Probability of lung times 255, ``[row, column]`` of each slice at its own size.

    Args:
        slices: ``[row, column]`` each, which need not be of one size.
        kind: ``"hu"`` for Hounsfield units, ``"picture"`` for 8-bit grey.
        source: as for `lung_card`.

    Raises:
        UnknownModelError: as for `lung_card`.
        UnusableModelError: as for `lung_card`.
    """
    shown = list(slices)
    segmenter = _segmenter(source)
    channel = segmenter.card.channels.index(LUNG)
    maps = segmenter.stream(shown, kind=kind)
    return [at_own_size(found[channel], *image.shape) for found, image in zip(maps, shown, strict=True)]


@functools.lru_cache(maxsize=1)
def _segmenter(source: str) -> SliceSegmenter:
    return SliceSegmenter(lung_card(source))
