"""Grad-CAM and Grad-CAM++ of any network in torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundglass.inference.cam import Method


def grad_cam(
    network: nn.Module, layer: nn.Module, inputs: Tensor, index: int, *, method: Method = "grad-cam"
) -> NDArray[np.float32]:
    """Where in a picture the evidence for one class lies.

    Grad-CAM (Selvaraju et al. 2017) weights each feature map by the mean of its gradient; Grad-CAM++ (Chattopadhyay et
    al. 2018) weights the positive gradients of each position, so that several places count alike.

    Args:
        network: in evaluation mode; gives logits (1, class).
        layer: whose output (1, feature, rows, columns) is explained.
        inputs: one example, as the network takes it.
        index: number of the class.
        method: `grad-cam` or `grad-cam++`.

    Returns:
        float32 (rows, columns) of the layer, 0..1, the largest value being 1; all zero where nothing speaks for the
        class.
    """
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        # A leaf of its own, so that frozen layers below need no gradient.
        leaf = output.detach().requires_grad_(True)
        kept.append(leaf)
        return leaf

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = network(inputs)
            (gradient,) = torch.autograd.grad(logits[0, index], kept[-1])
    finally:
        handle.remove()
    features = kept[-1].detach()
    weights = _plain(gradient) if method == "grad-cam" else _plus_plus(gradient, features)
    heat = torch.relu((weights * features).sum(dim=1))[0]
    top = float(heat.max())
    return np.asarray((heat / top if top > 0 else heat).numpy(), dtype=np.float32)


def _plain(gradient: Tensor) -> Tensor:
    return gradient.mean(dim=(2, 3), keepdim=True)


def _plus_plus(gradient: Tensor, features: Tensor) -> Tensor:
    squared, cubed = gradient**2, gradient**3
    below = 2.0 * squared + (features * cubed).sum(dim=(2, 3), keepdim=True)
    alpha = squared / torch.where(below != 0, below, torch.ones_like(below))
    return (alpha * torch.relu(gradient)).sum(dim=(2, 3), keepdim=True)
