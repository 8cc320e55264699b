"""Depthwise convolutions whose gradients are computed fast on a processor.

PyTorch gets these gradients from oneDNN, where kernels of 5 x 5 and strides of 2 are slow: up to 35 times slower
than the same sums as 3 x 3 kernels of stride 1 (docs/performance.md). In an EfficientNet they are half of a training
step. What comes out is the same but for the order of the additions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

SLOW = {(3, 2), (5, 1), (5, 2)}
"""Kernel and stride of the convolutions that gain."""
BLOCK = 3
"""Side of the kernels whose gradients are fast."""


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that takes the place of another one, its weights and attributes included.

    Evaluated, exported or on a GPU it is PyTorch's own.

    Attributes:
        border: pads the input.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            conv.stride[0],
            conv.padding if isinstance(conv.padding, str) else conv.padding[0],
            groups=conv.groups,
            bias=conv.bias is not None,
        )
        self.weight, self.bias = conv.weight, conv.bias
        # efficientnet-lite-pytorch keeps its padding in a module beside the weights.
        borders = (getattr(conv, "static_padding", None), _border(conv))
        self.border = nn.Sequential(*[one for one in borders if one is not None])

    def forward(self, images: Tensor) -> Tensor:
        """The convolution of (n, channel, rows, columns)."""
        images, weight, stride = self.border(images), self.weight, self.stride[0]
        if not self.training or images.device.type != "cpu":
            return functional.conv2d(images, weight, self.bias, stride, groups=len(weight))
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            images, weight = images.to(kind), weight.to(kind)
        found: Tensor = _Depthwise.apply(images, weight, stride)  # type: ignore[no-untyped-call]
        return found if self.bias is None else found + self.bias.to(found.dtype)[:, None, None]


def gains(conv: nn.Conv2d) -> bool:
    """Is it one whose place a `DepthwiseConv2d` can take, and is that faster?"""
    depthwise = not isinstance(conv, DepthwiseConv2d) and 1 < conv.groups == conv.in_channels == conv.out_channels
    sides = (conv.kernel_size, conv.stride, () if isinstance(conv.padding, str) else conv.padding)
    square = all(len(set(side)) < 2 for side in sides) and set(conv.dilation) == {1}
    zeros = conv.padding_mode == "zeros"
    return depthwise and square and zeros and (conv.kernel_size[0], conv.stride[0]) in SLOW


def _border(conv: nn.Conv2d) -> nn.Module | None:
    if conv.padding == "valid":
        return None
    both = conv.kernel_size[0] - 1 if isinstance(conv.padding, str) else 2 * conv.padding[0]
    first = both // 2
    return nn.ZeroPad2d((first, both - first, first, both - first)) if both else None


class _Depthwise(torch.autograd.Function):
    """Convolution without padding of (n, channel, rows, columns) with (channel, 1, kernel, kernel)."""

    @staticmethod
    def forward(context: FunctionCtx, images: Tensor, weight: Tensor, stride: int) -> Tensor:
        context.save_for_backward(images, weight)
        context.stride = stride  # type: ignore[attr-defined]
        return functional.conv2d(images, weight, None, stride, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = context.saved_tensors  # type: ignore[attr-defined]
        stride: int = context.stride  # type: ignore[attr-defined]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        needs_images, needs_weight, _ = context.needs_input_grad  # type: ignore[attr-defined]
        of_images = _image_gradient(gradient, images, weight, stride) if needs_images else None
        of_weight = _weight_gradient(gradient, images, weight, stride) if needs_weight else None
        return of_images, of_weight, None


def _image_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return _native(gradient, images, weight, 1, 0)
    # Pixels of even and of odd rows and columns meet other parts of the kernel: four convolutions of stride 1.
    found = torch.zeros_like(images, memory_format=torch.channels_last)
    for row in range(stride):
        for column in range(stride):
            part = weight[:, :, row::stride, column::stride].flip(2, 3).contiguous()
            rows, columns = part.shape[2:]
            spread = functional.conv2d(gradient, part, padding=(rows - 1, columns - 1), groups=len(weight))
            place = found[:, :, row::stride, column::stride]
            height, width = min(place.shape[2], spread.shape[2]), min(place.shape[3], spread.shape[3])
            place[:, :, :height, :width] = spread[:, :, :height, :width]
    return found


def _weight_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int) -> Tensor:
    size = weight.shape[-1]
    if size == BLOCK:
        return _native(gradient, images, weight, stride, 1)
    found = torch.empty_like(weight)
    rows, columns = gradient.shape[2] + BLOCK - 1, gradient.shape[3] + BLOCK - 1
    for row in (0, size - BLOCK) if stride == 1 else range(stride):
        for column in (0, size - BLOCK) if stride == 1 else range(stride):
            # The part of the kernel that begins here meets these pixels: neighbours, or every second one.
            part = found[:, :, row::stride, column::stride][:, :, :BLOCK, :BLOCK]
            seen = images[:, :, row::stride, column::stride][:, :, :rows, :columns]
            lacks = (0, columns - seen.shape[3], 0, rows - seen.shape[2])
            seen = functional.pad(seen, lacks).contiguous(memory_format=torch.channels_last)
            block = weight.new_empty(len(weight), 1, BLOCK, BLOCK)
            part.copy_(_native(gradient, seen, block, 1, 1)[:, :, : part.shape[2], : part.shape[3]])
    return found


def _native(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, which: int) -> Tensor:
    """PyTorch's gradient of the images (0) or the weight (1)."""
    wanted = [which == 0, which == 1, False]
    found = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], len(weight), wanted
    )
    result: Tensor = found[which]
    return result
