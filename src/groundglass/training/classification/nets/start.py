"""A classifier's encoder that starts from the segmentation network instead of ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from groundglass.errors import OptionError
from groundglass.models.catalog import available, load_card
from groundglass.training.nets.unet import LiteEncoder
from groundglass.training.transfer import load_start


def start_encoder(network: nn.Module, place: str, pictures: NDArray[np.uint8]) -> None:
    """Copies the encoder of a segmentation network into `network.encoder`.

    Args:
        network: has a `LiteEncoder` named `encoder`.
        place: a shipped model's name, an ONNX file of it, or a checkpoint of a training run.
        pictures: grey, (n, size, size); see `encoder_from_onnx`. A checkpoint does not need them.

    Raises:
        OptionError: nothing there fits the encoder.
    """
    path = load_card(place).weights if place in available() else Path(place)
    if path.suffix == ".onnx":
        encoder = network.encoder
        if not isinstance(encoder, LiteEncoder):
            raise TypeError(f"the encoder is a {type(encoder).__name__}; expected a LiteEncoder")
        encoder_from_onnx(encoder, path, pictures)
    else:
        load_start(network, path)


def encoder_from_onnx(encoder: LiteEncoder, path: Path, pictures: NDArray[np.uint8]) -> None:
    """Copies the first convolutions of an exported network into an encoder of the same shape.

    The export has folded each batch normalisation into its convolution. The statistics that training needs are
    measured anew on `pictures`, and the normalisation's weights are set to undo them: the function stays the same.

    Args:
        encoder: what is to start.
        path: an ONNX file exported by this package.
        pictures: grey, (n, size, size), like those that will be learned from.

    Raises:
        OptionError: no such file, or its convolutions are not those of the encoder.
    """
    if not path.is_file():
        raise OptionError(f"no network {path}; expected a shipped model's name, an .onnx file or a checkpoint")
    folded = _convolutions(onnx.load(str(path)))
    layers = list(zip(_of_kind(encoder, nn.Conv2d), _of_kind(encoder, nn.BatchNorm2d), strict=True))
    shapes = [tuple(conv.weight.shape) for conv, _ in layers]
    if [weight.shape for weight, _ in folded[: len(layers)]] != shapes:
        raise OptionError(
            f"the convolutions of {path} are not those of EfficientNet-lite0 on one channel; expected a network "
            "exported by groundglass"
        )
    with torch.no_grad():
        for (conv, norm), (weight, bias) in zip(layers, folded, strict=False):
            conv.weight.copy_(torch.from_numpy(weight))
            norm.bias.copy_(torch.from_numpy(bias))
            _neutral(norm)
        _measure(encoder, layers, pictures)


def _of_kind(module: nn.Module, kind: type[Any]) -> list[Any]:
    return [one for one in module.modules() if isinstance(one, kind)]


def _convolutions(model: onnx.ModelProto) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of every convolution in the order of the graph."""
    arrays = {one.name.removesuffix(".half"): numpy_helper.to_array(one) for one in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    return [
        (np.array(arrays[node.input[1]], np.float32), np.array(arrays[node.input[2]], np.float32))
        for node in convolutions
        if node.input[1] in arrays and node.input[2] in arrays
    ]


def _neutral(norm: nn.BatchNorm2d) -> None:
    """A normalisation that only adds its bias."""
    norm.weight.fill_(1.0)
    torch.as_tensor(norm.running_mean).zero_()
    torch.as_tensor(norm.running_var).fill_(1.0 - norm.eps)


def _measure(encoder: LiteEncoder, layers: list[tuple[nn.Conv2d, nn.BatchNorm2d]], pictures: NDArray[np.uint8]) -> None:
    measured: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def remember(module: nn.Module, _: Any, output: Tensor) -> None:  # noqa: ANN401 - the hook's inputs
        measured[module] = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3))

    hooks = [conv.register_forward_hook(remember) for conv, _ in layers]
    encoder.eval()
    encoder((torch.from_numpy(pictures)[:, None].float() - 127.5) / 64.0)
    for hook in hooks:
        hook.remove()
    for conv, norm in layers:
        mean, variance = measured[conv]
        torch.as_tensor(norm.running_mean).copy_(mean)
        torch.as_tensor(norm.running_var).copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
