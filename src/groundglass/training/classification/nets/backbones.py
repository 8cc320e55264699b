"""Large classifiers of the sources: EfficientNet B0 to B7 and the BiT ResNet-50, from transformers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BitConfig, BitModel, EfficientNetConfig, EfficientNetModel

from groundglass.training.classification.nets.simple import IMAGENET, RANDOM, SliceNetwork

logger = logging.getLogger(__name__)

EFFICIENTNETS: dict[str, tuple[float, float, int]] = {
    "efficientnet-b0": (1.0, 1.0, 1280),
    "efficientnet-b3": (1.2, 1.4, 1536),
    "efficientnet-b7": (2.0, 3.1, 2560),
}
"""Width, depth and last channels (Tan and Le 2019)."""
HUB = {
    "efficientnet-b0": "google/efficientnet-b0",
    "efficientnet-b3": "google/efficientnet-b3",
    "efficientnet-b7": "google/efficientnet-b7",
    "bit-resnet50": "google/bit-50",
}
"""Names of the ImageNet weights in the Hugging Face cache."""


class _Backbone(nn.Module):
    """A transformers model that gives its last feature map for grey slices."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, slices: Tensor) -> Tensor:
        features = self.model(slices.repeat(1, 3, 1, 1)).last_hidden_state
        return torch.as_tensor(features)


def _config(name: str) -> Any:  # noqa: ANN401 - the library has no types
    if name == "bit-resnet50":
        return BitConfig()
    width, depth, hidden = EFFICIENTNETS[name]
    return EfficientNetConfig(width_coefficient=width, depth_coefficient=depth, hidden_dim=hidden)


def backbone(name: str, *, pretrained: bool, weights: str = "") -> tuple[nn.Module, int, str]:
    """A backbone, the channels of its last feature map, and what it started from, in words.

    Args:
        name: a key of `HUB`.
        pretrained: take ImageNet weights from `weights` or the local Hugging Face cache; nothing is downloaded. Where
            there are none, the log says so and the network starts from random weights.
        weights: folder of a model saved by transformers.
    """
    kind = BitModel if name == "bit-resnet50" else EfficientNetModel
    channels = 2048 if name == "bit-resnet50" else EFFICIENTNETS[name][2]
    if pretrained:
        place = weights or HUB[name]
        try:
            loaded = kind.from_pretrained(place, local_files_only=not Path(place).is_dir())
            return _Backbone(loaded), channels, f"{IMAGENET} of {place}"
        except OSError:
            logger.warning("no ImageNet weights for %s in %s: it starts from random weights", name, place)
    fresh = _Backbone(kind(_config(name)))
    if name in EFFICIENTNETS:
        _initialise(fresh)
    return fresh, channels, RANDOM


@torch.no_grad()
def _initialise(network: nn.Module) -> None:
    """Random weights as Tan and Le draw them: variance 2 / (pixels of the kernel x outputs of a group).

    transformers draws those of the batch normalisations too, around 0 instead of 1: after a few blocks nothing is left
    of a picture, and the network cannot learn.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels / module.groups
            module.weight.normal_(0.0, (2.0 / fan_out) ** 0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def large(name: str, classes: int, *, pretrained: bool, weights: str = "", cnn_head: bool = False) -> SliceNetwork:
    """A backbone with a linear head, or with a head of convolutions as document 003 has."""
    features, channels, start = backbone(name, pretrained=pretrained, weights=weights)
    if not cnn_head:
        linear = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, classes))
        return SliceNetwork(features, linear, started_from=start)
    head = [nn.Conv2d(channels, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(inplace=True)]
    classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(128, classes))
    return SliceNetwork(nn.Sequential(features, *head), classifier, started_from=start)
