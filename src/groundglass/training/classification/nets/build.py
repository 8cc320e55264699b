"""Networks by name."""

from __future__ import annotations

from typing import Literal, get_args

from groundglass.training.classification.nets.simple import CBR, SliceNetwork, cbr, lite, plain_cnn

NetworkName = Literal[
    "cnn",
    "simple",
    "cbr-tiny",
    "cbr-small",
    "cbr-largew",
    "cbr-larget",
    "efficientnet-lite0",
    "efficientnet-b0",
    "efficientnet-b0-cnn",
    "efficientnet-b3",
    "efficientnet-b7",
    "bit-resnet50",
]
NETWORKS: tuple[str, ...] = get_args(NetworkName)


def build(name: NetworkName, classes: int, *, pretrained: bool = False, weights: str = "") -> SliceNetwork:
    """A network by its name.

    Args:
        name: one of `NETWORKS`.
        classes: number of classes.
        pretrained: start from ImageNet weights where they can be had without a download.
        weights: folder of weights saved by transformers.
    """
    if name in CBR:
        return cbr(name, classes)
    if name == "cnn":
        return plain_cnn(classes)
    if name == "simple":
        return plain_cnn(classes, channels=(16, 32, 64, 128), hidden=64)
    if name == "efficientnet-lite0":
        return lite(classes, pretrained=pretrained)
    from groundglass.training.classification.nets.backbones import large

    bare = name.removesuffix("-cnn")
    return large(bare, classes, pretrained=pretrained, weights=weights, cnn_head=name.endswith("-cnn"))
