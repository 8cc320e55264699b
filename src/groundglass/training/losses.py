"""Losses of independent sigmoid channels over the pixels whose label is known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses.dice import DiceLoss
from monai.losses.tversky import TverskyLoss
from torch import Tensor, nn
from torch.nn import functional

from groundglass.training.presets.model import Loss

LossFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
LARGEST_CLASS_WEIGHT = 20.0
EVERY = (0, 2, 3)
"""All axes but the channels."""


def make_loss(config: Loss, channels: int) -> LossFunction:
    """The loss of a preset.

    Args:
        config: Kind and parameters.
        channels: Number of channels.

    Returns:
        A function of logits, targets (0/1) and known pixels (0/1), each (n, channels, height, width), that gives
        the weighted mean over channels, a scalar.
    """
    per_channel = _per_channel(config)
    weights = torch.tensor(config.channel_weights or (1.0,) * channels)

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        values = per_channel(logits.float(), targets.float(), known.float())
        scale = weights.to(values.device)
        return (values * scale).sum() / scale.sum()

    return loss


def _per_channel(config: Loss) -> LossFunction:
    if config.name == "bce":
        return lambda logits, targets, known: cross_entropy(logits, targets, known, config.class_weights)
    if config.name == "focal":
        return lambda logits, targets, known: focal(logits, targets, known, config)
    overlap = _overlap(config)
    if config.name == "bce+dice":
        return lambda logits, targets, known: (
            cross_entropy(logits, targets, known, config.class_weights) + overlap(logits, targets, known)
        )
    return overlap


def _overlap(config: Loss) -> LossFunction:
    """1 - Dice (Milletari et al. 2016) or 1 - Tversky index (Salehi et al. 2017), pooled over the batch.

    Slices without a class do not dominate a term that is pooled.
    """
    smooth = config.smooth
    term: nn.Module
    if config.name == "tversky":
        term = TverskyLoss(
            alpha=config.alpha, beta=config.beta, batch=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth
        )
    else:
        term = DiceLoss(batch=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth)

    def overlap(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        return torch.as_tensor(term(logits.sigmoid() * known, targets * known)).flatten()

    return overlap


def pixel_weights(targets: Tensor, known: Tensor, wanted: bool) -> Tensor:
    """Weight of each known pixel: 1, or for the pixels of a class how much rarer than background they are."""
    if not wanted:
        return known
    positive = (targets * known).sum(EVERY, keepdim=True)
    negative = ((1.0 - targets) * known).sum(EVERY, keepdim=True)
    rarity = (negative / positive.clamp(min=1.0)).clamp(1.0, LARGEST_CLASS_WEIGHT)
    return known * (1.0 + targets * (rarity - 1.0))


def cross_entropy(logits: Tensor, targets: Tensor, known: Tensor, class_weights: bool = False) -> Tensor:
    """Mean binary cross-entropy over known pixels, per channel."""
    weights = pixel_weights(targets, known, class_weights)
    values = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (values * weights).sum(EVERY) / weights.sum(EVERY).clamp(min=1.0)


def focal(logits: Tensor, targets: Tensor, known: Tensor, config: Loss) -> Tensor:
    """Mean focal loss (Lin et al. 2017) over known pixels, per channel; MONAI's takes no mask per channel."""
    weights = pixel_weights(targets, known, config.class_weights)
    values = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    sure = torch.exp(-values)
    return ((1.0 - sure) ** config.gamma * values * weights).sum(EVERY) / weights.sum(EVERY).clamp(min=1.0)
