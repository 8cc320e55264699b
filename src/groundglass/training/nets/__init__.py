"""Network architectures."""

from __future__ import annotations

from torch import nn

from groundglass.training.presets.model import BCDUNetwork, LiteNetwork, MobileNetV2Network, Network, UNetNetwork


def build_network(config: Network, outputs: int) -> nn.Module:
    """The network of a preset, with an attribute ``encoder``.

    Args:
        config: Architecture.
        outputs: Output channels, each an independent sigmoid.
    """
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
