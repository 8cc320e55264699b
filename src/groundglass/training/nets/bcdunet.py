"""BCDU-Net (Azad et al. 2019): U-Net with dense convolutions and bidirectional ConvLSTM in the skip connections."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groundglass.training.presets.model import BCDUNetwork


def _initialise(module: nn.Module) -> None:
    """Weights after He et al. 2015: smaller ones fade on the way, for there is hardly any normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(torch.as_tensor(module.bias))
    if isinstance(module, ConvLSTM):
        module.remember()


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class DenseBottom(nn.Module):
    """Densely connected blocks: each sees the outputs of all the blocks before it."""

    def __init__(self, inputs: int, outputs: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _double(inputs if number == 0 else outputs * number, outputs) for number in range(blocks)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Features (n, outputs, height, width) of the last block."""
        seen: list[Tensor] = []
        for block in self.blocks:
            hidden = self.dropout(block(torch.cat(seen, dim=1) if seen else hidden))
            seen.append(hidden)
        return hidden


class ConvLSTM(nn.Module):
    """One direction of a convolutional LSTM (Shi et al. 2015) over a short sequence of feature maps."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.gates = nn.Conv2d(inputs + outputs, 4 * outputs, 3, padding=1)

    @torch.no_grad()
    def remember(self) -> None:
        """Opens the forget gate at the start (Jozefowicz et al. 2015)."""
        _, forget, _, _ = torch.as_tensor(self.gates.bias).chunk(4)
        forget.fill_(1.0)

    def forward(self, sequence: tuple[Tensor, ...]) -> Tensor:
        """The hidden state after the last element; each is (n, inputs, height, width)."""
        count, _, height, width = sequence[0].shape
        hidden = cell = sequence[0].new_zeros(count, self.outputs, height, width)
        for features in sequence:
            entry, forget, leave, new = self.gates(torch.cat([features, hidden], dim=1)).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + entry.sigmoid() * new.tanh()
            hidden = leave.sigmoid() * cell.tanh()
        return hidden


class BidirectionalJoin(nn.Module):
    """Joins a skip connection and what comes from below by ConvLSTMs in both directions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.onward = ConvLSTM(channels, channels // 2)
        self.backward_ = ConvLSTM(channels, channels // 2)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Features (n, channels, height, width)."""
        return torch.cat([self.onward((skip, below)), self.backward_((below, skip))], dim=1)


class Up(nn.Module):
    """A level of the decoder: transposed convolution, batch normalisation, join, two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rise = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.normal = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.join = BidirectionalJoin(channels)
        self.convolutions = _double(channels, channels)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Features (n, channels, height, width) for those of half the size from below."""
        return torch.as_tensor(self.convolutions(self.join(skip, self.normal(self.rise(below)))))


class BCDUNet(nn.Module):
    """BCDU-Net of three halvings for grey pictures of 0..255 whose sides are multiples of 8."""

    def __init__(self, config: BCDUNetwork, outputs: int) -> None:
        super().__init__()
        widths = [config.filters * factor for factor in (1, 2, 4)]
        self.encoder = nn.ModuleList(_double(i, o) for i, o in zip([1, *widths], widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.bottom = DenseBottom(widths[-1], 2 * widths[-1], config.dense_blocks, config.dropout)
        self.decoder = nn.ModuleList(Up(width) for width in reversed(widths))
        self.head = nn.Conv2d(widths[0], outputs, 1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, outputs, height, width) for ``images`` (n, 1, height, width) of grey values 0..255."""
        hidden = images / 127.5 - 1.0
        skips: list[Tensor] = []
        for level in self.encoder:
            hidden = level(hidden)
            skips.append(hidden)
            hidden = self.pool(hidden)
        hidden = self.bottom(hidden)
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            hidden = level(hidden, skip)
        return torch.as_tensor(self.head(hidden))
