"""What a network gives, and the gradients behind it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gradients(network: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output, and the gradients of a loss of it by every weight and by the images."""
    images = images.clone().requires_grad_()
    found = network(images)
    network.zero_grad()
    (found.float() * torch.arange(found.numel()).reshape(found.shape).float().sin()).sum().backward()
    assert images.grad is not None
    every = {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}
    return found.detach(), {**every, "images": images.grad}
