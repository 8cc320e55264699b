"""Losses of the classifiers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def open_label_loss(
    logits: Tensor, allowed: Tensor, *, weights: Tensor | None = None, gamma: float = 0.0, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy where a label may leave several classes open: -log of the sum of their probabilities.

    Args:
        logits: (n, classes).
        allowed: (n, classes), 1 for each class that the label leaves open.
        weights: (n,) weight of each example.
        gamma: of the focal loss (Lin et al. 2017), which looks away from what is easy; 0 is cross-entropy.
        smoothing: share of the loss that pulls towards equal probabilities of all classes.

    Returns:
        The weighted mean, a scalar.
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    known = torch.logsumexp(log_probabilities.masked_fill(allowed == 0, -1e4), dim=1)
    loss = -known * (1.0 - known.exp()).clamp(0.0, 1.0) ** gamma if gamma else -known
    if smoothing:
        loss = (1.0 - smoothing) * loss - smoothing * log_probabilities.mean(dim=1)
    if weights is None:
        return loss.mean()
    return (loss * weights).sum() / weights.sum()
