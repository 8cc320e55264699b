"""Weights from an exported network, in which each batch normalisation has been folded into its convolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from groundglass.errors import OptionError


class _Layer(NamedTuple):
    """A convolution and the normalisation that follows it, if one does."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d | None


def load_folded(network: nn.Module, path: Path, images: Tensor, *, part: bool = False) -> int:
    """Copies the convolutions of an exported network into a network of the same shape.

    The statistics that training needs are measured anew on `images`, and the weights of the normalisations are set to
    undo them: the function stays the same.

    Args:
        network: What is to start; made of convolutions, each perhaps with a batch normalisation.
        path: An ONNX file exported by this package.
        images: Input of the network, like what will be learned from.
        part: The network is the first part of what was exported, such as its encoder; otherwise only the last
            convolution, the head, may differ, and then starts anew.

    Returns:
        How many convolutions were copied.

    Raises:
        OptionError: No such file, or its convolutions are not those of the network.
    """
    if not path.is_file():
        raise OptionError(f"no network {path}; expected a shipped model's name, an .onnx file or a checkpoint")
    folded, layers = _convolutions(onnx.load(str(path))), _layers(network)
    own, given = [tuple(conv.weight.shape) for conv, _ in layers], [weight.shape for weight, _ in folded]
    known = {id(weight) for layer in layers for module in layer if module for weight in module.parameters()}
    fits = given[: len(own)] == own if part else len(given) == len(own) and given[:-1] == own[:-1]
    if not fits or any(id(weight) not in known for weight in network.parameters()):
        raise OptionError(
            f"the convolutions of {path} are not those of this {type(network).__name__}; expected a network of the "
            "same architecture, exported by groundglass"
        )
    copied = [pair for pair in zip(layers, folded, strict=False) if pair[0].conv.weight.shape == pair[1][0].shape]
    with torch.no_grad():
        for layer, values in copied:
            _copy(layer, *values)
        _measure(network, [layer for layer, _ in copied], images)
    return len(copied)


def _layers(network: nn.Module) -> list[_Layer]:
    """Convolutions in the order in which they are made, which is that of the graph."""
    modules = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.BatchNorm2d)]
    found = []
    for one, after in zip(modules, [*modules[1:], None], strict=True):
        if isinstance(one, nn.Conv2d):
            found.append(_Layer(one, after if isinstance(after, nn.BatchNorm2d) else None))
    return found


def _convolutions(model: onnx.ModelProto) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of every convolution in the order of the graph."""
    arrays = {one.name.removesuffix(".half"): numpy_helper.to_array(one) for one in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    return [
        (np.array(arrays[node.input[1]], np.float32), np.array(arrays[node.input[2]], np.float32))
        for node in convolutions
        if node.input[1] in arrays and node.input[2] in arrays
    ]


def _copy(layer: _Layer, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    conv, norm = layer
    conv.weight.copy_(torch.from_numpy(weight))
    if norm is None:
        assert conv.bias is not None
        conv.bias.copy_(torch.from_numpy(bias))
        return
    # For now a normalisation that only adds its bias.
    norm.bias.copy_(torch.from_numpy(bias))
    norm.weight.fill_(1.0)
    torch.as_tensor(norm.running_mean).zero_()
    torch.as_tensor(norm.running_var).fill_(1.0 - norm.eps)


def _measure(network: nn.Module, layers: list[_Layer], images: Tensor) -> None:
    measured: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def remember(module: nn.Module, _: Any, output: Tensor) -> None:  # noqa: ANN401 - the hook's inputs
        measured[module] = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3))

    hooks = [layer.conv.register_forward_hook(remember) for layer in layers]
    network.eval()
    network(images)
    for hook in hooks:
        hook.remove()
    for conv, norm in layers:
        if norm is None:
            continue
        mean, variance = measured[conv]
        torch.as_tensor(norm.running_mean).copy_(mean)
        torch.as_tensor(norm.running_var).copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
