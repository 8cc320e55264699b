"""Transposed convolutions of 2 x 2 with a stride of 2, the way up of a U-Net, trained fast on a processor.

Their kernels do not overlap, so each is a 1 x 1 convolution whose four results are the pixels of a square. PyTorch's
own gradients of them take three times as long (docs/performance.md). What comes out is the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 2
"""Kernel and stride."""


class DoublingConv2d(nn.ConvTranspose2d):
    """A transposed convolution that doubles both sides and takes the place of another one, its weights included.

    Evaluated, exported or on a GPU it is PyTorch's own.
    """

    def __init__(self, conv: nn.ConvTranspose2d) -> None:
        super().__init__(conv.in_channels, conv.out_channels, SIDE, SIDE, bias=conv.bias is not None)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Features (n, outputs, 2 rows, 2 columns) of (n, inputs, rows, columns)."""
        if not self.training or images.device.type != "cpu" or output_size is not None:
            return super().forward(images, output_size)
        # The channels of a pixel stay side by side in memory (channels last), where whole rows of them are moved.
        weight = self.weight.permute(2, 3, 1, 0).reshape(-1, self.in_channels, 1, 1)
        bias = None if self.bias is None else self.bias.repeat(SIDE * SIDE)
        squares = functional.conv2d(images, weight, bias).permute(0, 2, 3, 1)
        count, rows, columns, _ = squares.shape
        squares = squares.reshape(count, rows, columns, SIDE, SIDE, self.out_channels).permute(0, 1, 3, 2, 4, 5)
        pixels = squares.reshape(count, SIDE * rows, SIDE * columns, self.out_channels)
        return torch.as_tensor(pixels.permute(0, 3, 1, 2))


def gains(conv: nn.ConvTranspose2d) -> bool:
    """Is it one whose place a `DoublingConv2d` can take?"""
    doubles = set(conv.kernel_size) == {SIDE} == set(conv.stride)
    plain = set(conv.padding) == {0} == set(conv.output_padding) and set(conv.dilation) == {1} and conv.groups == 1
    return doubles and plain and not isinstance(conv, DoublingConv2d)
