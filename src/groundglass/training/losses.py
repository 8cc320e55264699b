"""Binary cross-entropy plus Dice over the pixels whose label is known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_bce_dice(
    logits: Tensor, targets: Tensor, known: Tensor, channel_weights: tuple[float, ...] = (1.0, 1.0, 0.5)
) -> Tensor:
    """Loss of independent sigmoid channels.

    The Dice term is pooled over the batch, per channel, so that slices without a class do not
    dominate it.

    Args:
        logits: (n, channels, height, width).
        targets: 0/1, same shape.
        known: 0/1, same shape; 0 takes a pixel out of the loss.
        channel_weights: Weight of each channel.

    Returns:
        The weighted mean over channels of BCE + (1 - Dice), a scalar.
    """
    logits, targets, known = logits.float(), targets.float(), known.float()
    every = (0, 2, 3)
    count = known.sum(every).clamp(min=1.0)
    bce = (functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known).sum(every) / count
    probabilities = logits.sigmoid() * known
    truth = targets * known
    overlap = (probabilities * truth).sum(every)
    dice = (2.0 * overlap + 100.0) / (probabilities.sum(every) + truth.sum(every) + 100.0)
    weights = torch.tensor(channel_weights, device=logits.device)
    return ((bce + 1.0 - dice) * weights).sum() / weights.sum()
