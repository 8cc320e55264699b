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


def assert_the_same(plain: nn.Module, quick: nn.Module, images: Tensor) -> None:
    """Both networks give the same, with the same gradients, whatever the order of the images in memory."""
    for order in (torch.contiguous_format, torch.channels_last):
        wanted, by_hand = gradients(plain, images.contiguous(memory_format=order))
        found, quicker = gradients(quick, images.contiguous(memory_format=order))
        torch.testing.assert_close(found, wanted)
        assert set(by_hand) == set(quicker)
        for name, one in by_hand.items():
            torch.testing.assert_close(quicker[name], one, atol=2e-5, rtol=1e-4)
