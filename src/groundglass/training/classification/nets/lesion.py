"""The shipped classifier: what the segmentation network sees in the lesions, and two linear questions about it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundglass.training.nets.unet import LiteEncoder

BLOCKS = 11
"""Blocks of the encoder up to stride 16."""
FEATURES = 112
STRIDE = 16


class LesionClassifier(nn.Module):
    """COVID, other pneumonia or normal, from the features of the segmentation's encoder, averaged over the lesions.

    The encoder is not trained: it has learned what lung and infection look like, from other labels than the classes,
    and cannot adapt to what tells the sources apart. The head sees it where there is infection in the lungs and nowhere
    else.

    Two questions are asked, each linear in the mean of the feature map, so that their activation maps are exact: is it
    COVID or not, and if not, other pneumonia or normal? One softmax over three linear logits would let the two classes
    that are not COVID bend the border to COVID, which few slices do not support.

    Attributes:
        covid: features -> log odds of COVID.
        kind: features -> log odds of other pneumonia against normal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LiteEncoder(pretrained=False)
        self.encoder.blocks = self.encoder.blocks[:BLOCKS]
        self.encoder.requires_grad_(False)
        self.covid = nn.Linear(FEATURES, 1)
        self.kind = nn.Linear(FEATURES, 1)

    def train(self, mode: bool = True) -> LesionClassifier:
        """Training mode, but the encoder stays as it is, its running statistics too."""
        super().train(mode)
        self.encoder.eval()
        return self

    def feature_map(self, views: Tensor) -> Tensor:
        """The features of the lesions (n, 112, size / 16, size / 16); their mean over the map is what the head sees.

        That mean is the sum of features times infected area over the infected area plus one cell of the map, so it
        shrinks to zero with the lesions.

        Args:
            views: (n, 3, size, size), 0..255: grey, lung and infection.
        """
        hidden: Tensor = self.encoder.stem((views[:, :1] - 127.5) / 64.0)
        for block in self.encoder.blocks:
            hidden = block(hidden)
        infected = functional.avg_pool2d(views[:, 2:], STRIDE) / 255.0
        cells = infected.shape[2] * infected.shape[3]
        return hidden * infected * (cells / (infected.sum(dim=(1, 2, 3), keepdim=True) + 1.0))

    def answer(self, pooled: Tensor) -> Tensor:
        """Logits (..., 3) of pooled features (..., 112); the probabilities of the last two add up to "not COVID"."""
        other = self.kind(pooled)
        return torch.cat([self.covid(pooled), -functional.softplus(-other), -functional.softplus(other)], dim=-1)

    def evidence(self, features: Tensor) -> Tensor:
        """What of a feature map (n, 112, rows, columns) speaks for each class, (n, 3, rows, columns).

        For COVID its mean, plus the bias, is the log odds; for the others it is what speaks for one against the other.
        """
        weights = torch.cat([self.covid.weight, self.kind.weight, -self.kind.weight])
        return functional.conv2d(features, weights[:, :, None, None])

    @torch.no_grad()
    def favour_covid(self, offset: float) -> None:
        """Adds `offset` to the logit of COVID."""
        self.covid.bias.add_(offset)

    def forward(self, views: Tensor) -> Tensor:
        """Logits (n, 3) of views (n, 3, size, size), 0..255."""
        return self.answer(self.feature_map(views).mean(dim=(2, 3)))
