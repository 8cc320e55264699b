"""The shipped classifier: EfficientNet-lite0 on the lungs, told what the segmentation found, and a linear head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundglass.training.nets.unet import LiteEncoder

FROZEN_BLOCKS = 5
"""Blocks of the encoder that keep their ImageNet weights: edges and textures, at strides up to 8."""
FEATURES = 320
STRIDE8 = 40
STEM = 32
Maps = Literal["stride8", "input", "none"]
"""Where the lung and infection maps enter: at stride 8, as further input channels of the stem, or nowhere."""


class LiteClassifier(nn.Module):
    """Three logits from a view of the lungs.

    The answer is linear in the mean of the last feature map, so its class activation map is exact.
    """

    def __init__(
        self, classes: int = 3, *, dropout: float = 0.3, pretrained: bool = True, maps: Maps = "stride8"
    ) -> None:
        super().__init__()
        self.encoder = LiteEncoder(pretrained)
        self.enter = maps
        self.maps: nn.Module = nn.Identity()
        if maps != "none":
            entry = nn.Conv2d(2, STRIDE8, 1, bias=False)
            if maps == "input":
                entry = nn.Conv2d(2, STEM, 3, stride=2, padding=1, bias=False)
            nn.init.normal_(entry.weight, std=0.02)
            self.maps = entry
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, classes)
        self.freeze()

    def freeze(self) -> None:
        """Stops the gradient below block `FROZEN_BLOCKS`."""
        for module in self._frozen():
            module.requires_grad_(False)

    def _frozen(self) -> Iterator[nn.Module]:
        yield self.encoder.stem
        for index, block in enumerate(self.encoder.blocks):
            if index < FROZEN_BLOCKS:
                yield block

    def train(self, mode: bool = True) -> LiteClassifier:
        """Training mode, but frozen parts stay as they are, their running statistics too."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def feature_map(self, views: Tensor) -> Tensor:
        """The last feature map (n, 320, size / 32, size / 32).

        Args:
            views: (n, 3, size, size), 0..255: grey, lung and infection.
        """
        first, *rest = self.encoder.stem
        hidden: Tensor = first((views[:, :1] - 127.5) / 64.0)
        if self.enter == "input":
            hidden = hidden + self.maps(views[:, 1:] / 255.0)
        for layer in rest:
            hidden = layer(hidden)
        for index, block in enumerate(self.encoder.blocks):
            if index == FROZEN_BLOCKS and self.enter == "stride8":
                hidden = hidden + self.maps(functional.avg_pool2d(views[:, 1:], 8) / 255.0)
            hidden = block(hidden)
        return hidden

    def answer(self, pooled: Tensor) -> Tensor:
        """Logits (..., classes) of pooled features (..., 320)."""
        return torch.as_tensor(self.head(self.dropout(pooled)))

    def evidence(self, features: Tensor) -> Tensor:
        """Class activation maps (n, classes, rows, columns): their mean, plus the bias, is the logit."""
        return functional.conv2d(features, self.head.weight[:, :, None, None])

    @torch.no_grad()
    def favour_covid(self, offset: float) -> None:
        """Adds `offset` to the logit of COVID, the first class."""
        self.head.bias[0].add_(offset)

    def forward(self, views: Tensor) -> Tensor:
        """Logits (n, classes) of views (n, 3, size, size), 0..255."""
        return self.answer(self.feature_map(views).mean(dim=(2, 3)))
