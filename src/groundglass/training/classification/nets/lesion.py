"""The shipped classifier: what the segmentation network sees in the lesions, and a linear head."""

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
    """Three logits from the features of the segmentation's encoder, averaged over the lesions.

    The encoder is not trained: it has learned what lung and infection look like, from other labels than the classes,
    and cannot adapt to what tells the sources apart. The head sees it where there is infection in the lungs and nowhere
    else. The answer is linear in the mean of the feature map, so its class activation map is exact.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.encoder = LiteEncoder(pretrained=False)
        self.encoder.blocks = self.encoder.blocks[:BLOCKS]
        self.encoder.requires_grad_(False)
        self.head = nn.Linear(FEATURES, classes)

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

    def forward(self, views: Tensor) -> Tensor:
        """Logits (n, classes) of views (n, 3, size, size), 0..255."""
        return torch.as_tensor(self.head(self.feature_map(views).mean(dim=(2, 3))))
