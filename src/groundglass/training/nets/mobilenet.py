"""U-Net on a MobileNetV2 encoder (Sandler et al. 2018)."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MobileNetV2Config, MobileNetV2Model

from groundglass.training.nets.unet import ConvBlock
from groundglass.training.presets.model import MobileNetV2Network

logger = logging.getLogger(__name__)
SKIP_LAYERS = (1, 4, 11, 15)
"""Inverted residual blocks whose outputs are handed over: strides 4, 8, 16 and 32; the stem has stride 2."""


class MobileNetV2Encoder(nn.Module):
    """MobileNetV2 without its classifier; grey pictures are shown as three equal colours."""

    def __init__(self, config: MobileNetV2Network) -> None:
        super().__init__()
        self.backbone = _backbone(config)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps at strides 2, 4, 8, 16 and 32 of ``images`` (n, 1, height, width), -1..1."""
        hidden = self.backbone.conv_stem(images.expand(-1, 3, -1, -1))
        features = [hidden]
        for index, layer in enumerate(self.backbone.layer):
            hidden = layer(hidden)
            if index in SKIP_LAYERS:
                features.append(hidden)
        return features


def _backbone(config: MobileNetV2Network) -> MobileNetV2Model:
    """The encoder from local ImageNet weights, or at random where there are none; nothing is downloaded."""
    fresh = MobileNetV2Config(depth_multiplier=config.width, finegrained_output=True)
    if config.pretrained:
        try:
            return MobileNetV2Model.from_pretrained(config.pretrained, local_files_only=True, add_pooling_layer=False)
        except OSError:
            logger.warning(
                "no ImageNet weights of MobileNetV2 at %s (neither a folder nor in the local cache of Hugging Face): "
                "the encoder starts at random",
                config.pretrained,
            )
    return MobileNetV2Model(fresh, add_pooling_layer=False)


class MobileNetV2UNet(nn.Module):
    """U-Net of independent sigmoid channels for grey pictures whose sides are multiples of 32."""

    def __init__(self, config: MobileNetV2Network, outputs: int) -> None:
        super().__init__()
        self.encoder = MobileNetV2Encoder(config)
        with torch.no_grad():
            widths = [features.shape[1] for features in self.encoder.eval()(torch.zeros(1, 1, 64, 64))]
        self.encoder.train()
        below, levels = widths[-1], []
        for skip, width in zip(widths[-2::-1], config.decoder, strict=True):
            levels.append(ConvBlock(below + skip, width))
            below = width
        self.decoder = nn.ModuleList(levels)
        self.head = nn.Conv2d(below, 4 * outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, outputs, height, width) for ``images`` (n, 1, height, width) of grey values 0..255."""
        features = self.encoder(images / 127.5 - 1.0)
        hidden = features[-1]
        for level, skip in zip(self.decoder, features[-2::-1], strict=True):
            hidden = level(torch.cat([functional.interpolate(hidden, scale_factor=2.0, mode="nearest"), skip], dim=1))
        return functional.pixel_shuffle(self.head(hidden), 2)
