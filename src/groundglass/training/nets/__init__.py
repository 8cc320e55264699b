"""Network architectures."""

from __future__ import annotations

import math

import torch
from torch import nn

from groundglass.training.presets.model import (
    UNDECIDED,
    BCDUNetwork,
    LiteNetwork,
    MobileNetV2Network,
    Network,
    UNetNetwork,
)


def build_network(config: Network, outputs: int) -> nn.Module:
    """The network of a preset, with attributes ``encoder`` and ``head``, its last convolution.

    Args:
        config: Architecture.
        outputs: Output channels, each an independent sigmoid.
    """
    network = _build(config, outputs)
    if config.prior != UNDECIDED:
        bias = torch.as_tensor(network.get_parameter("head.bias"))
        nn.init.constant_(bias, math.log(config.prior / (1.0 - config.prior)))
    return network


def _build(config: Network, outputs: int) -> nn.Module:
    if isinstance(config, UNetNetwork):
        from groundglass.training.nets.classic import ClassicUNet

        return ClassicUNet(config, outputs)
    if isinstance(config, BCDUNetwork):
        from groundglass.training.nets.bcdunet import BCDUNet

        return BCDUNet(config, outputs)
    if isinstance(config, MobileNetV2Network):
        from groundglass.training.nets.mobilenet import MobileNetV2UNet

        return MobileNetV2UNet(config, outputs)
    assert isinstance(config, LiteNetwork)
    from groundglass.training.nets.unet import LiteUNet, UNetConfig

    return LiteUNet(UNetConfig(outputs, config.decoder, config.dropout, config.pretrained, config.encoder))
