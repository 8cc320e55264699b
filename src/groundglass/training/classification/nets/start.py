"""A classifier's encoder that starts from the segmentation network instead of ImageNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from groundglass.models.catalog import available, load_card
from groundglass.training.folded import load_folded
from groundglass.training.nets.unet import LiteEncoder
from groundglass.training.transfer import load_checkpoint


def start_encoder(network: nn.Module, place: str, pictures: NDArray[np.uint8]) -> None:
    """Copies the encoder of a segmentation network into `network.encoder`.

    Args:
        network: has a `LiteEncoder` named `encoder`.
        place: a shipped model's name, an ONNX file of it, or a checkpoint of a training run.
        pictures: grey, (n, size, size), like those that will be learned from; a checkpoint does not need them.

    Raises:
        OptionError: nothing there fits the encoder.
    """
    path = load_card(place).weights if place in available() else Path(place)
    if path.suffix == ".onnx":
        encoder = network.encoder
        if not isinstance(encoder, LiteEncoder):
            raise TypeError(f"the encoder is a {type(encoder).__name__}; expected a LiteEncoder")
        encoder_from_onnx(encoder, path, pictures)
    else:
        load_checkpoint(network, path)


def encoder_from_onnx(encoder: LiteEncoder, path: Path, pictures: NDArray[np.uint8]) -> None:
    """Copies the first convolutions of an exported network into an encoder; see `load_folded`.

    Args:
        encoder: what is to start.
        path: an ONNX file exported by this package.
        pictures: grey, (n, size, size), like those that will be learned from.

    Raises:
        OptionError: no such file, or its convolutions are not those of the encoder.
    """
    load_folded(encoder, path, (torch.from_numpy(pictures)[:, None].float() - 127.5) / 64.0, part=True)
