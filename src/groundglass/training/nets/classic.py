"""The classic U-Net, as MONAI builds it, for grey pictures of 0..255."""

from __future__ import annotations

import torch
from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor, nn

from groundglass.training.presets.model import UNetNetwork


class ClassicUNet(nn.Module):
    """U-Net with max pooling, batch normalisation, ReLU and transposed convolutions."""

    def __init__(self, config: UNetNetwork, outputs: int) -> None:
        super().__init__()
        self.network = BasicUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=outputs,
            features=(*config.features, config.features[0]),
            act=("relu", {"inplace": True}),
            norm="batch",
            dropout=config.dropout,
            upsample="deconv",
        )
        # Sides are multiples of 32, so nothing is to be padded; padding by nothing would turn bf16 into float32.
        for up in (self.network.upcat_1, self.network.upcat_2, self.network.upcat_3, self.network.upcat_4):
            up.is_pad = False

    @property
    def encoder(self) -> nn.ModuleList:
        """The half that transfer learning may hold still."""
        net = self.network
        return nn.ModuleList([net.conv_0, net.down_1, net.down_2, net.down_3, net.down_4])

    @property
    def head(self) -> nn.Conv2d:
        """The last convolution."""
        last: nn.Conv2d = self.network.final_conv
        return last

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, outputs, height, width) for ``images`` (n, 1, height, width) of grey values 0..255."""
        return torch.as_tensor(self.network(images / 127.5 - 1.0))
