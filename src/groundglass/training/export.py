"""From a checkpoint to an ONNX file and its card, verified against the network it came from."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from groundglass.errors import TrainingError
from groundglass.inference.engine import check_pictures, import_openvino, run_in_order
from groundglass.io.write import atomic_write_bytes, writing
from groundglass.models.catalog import ModelCard

EXACT = 1e-3
"""Largest difference of any probability between the network and its export in float32."""
HALVED = 1e-3
"""Largest mean difference once the weights are stored as float16; single pixels at edges may differ more."""


class _Exported(nn.Module):
    """The network with an 8-bit picture as input and probabilities as output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.sigmoid(self.network(pictures.float()))


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores the large float32 weights as float16, each with a cast back; arithmetic stays float32.

    What float16 cannot hold (values beyond 65504, as a near-singular whitening has them) stays float32.
    """
    halved = copy.deepcopy(model)
    casts = []
    for weight in halved.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < 64:
            continue
        exact = numpy_helper.to_array(weight)
        if not np.abs(exact).max() <= np.finfo(np.float16).max:
            continue
        values = exact.astype(np.float16)
        stored = f"{weight.name}.half"
        casts.append(helper.make_node("Cast", [stored], [weight.name], to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(values, stored))
    for cast in reversed(casts):
        halved.graph.node.insert(0, cast)
    onnx.checker.check_model(halved)
    return halved


def to_onnx(network: nn.Module, size: int) -> onnx.ModelProto:
    """Exports a network of grey pictures: input ``pictures`` uint8 ``[1, 1, size, size]``, output ``probabilities``."""
    exported = _Exported(copy.deepcopy(network).cpu().eval())
    return graph_of(exported, (1, 1, size, size), input_names=["pictures"], output_names=["probabilities"])


def graph_of(exported: nn.Module, shape: tuple[int, ...], **names: Any) -> onnx.ModelProto:  # noqa: ANN401 - torch's own
    """The ONNX graph of a module with one uint8 input.

    Args:
        exported: On the CPU, in evaluation mode.
        shape: Of the input.
        names: ``input_names``, ``output_names`` and, where wanted, ``dynamic_axes``, as torch has them.
    """
    example = (torch.zeros(shape, dtype=torch.uint8),)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        path = Path(folder) / "network.onnx"
        torch.onnx.export(exported, example, str(path), opset_version=17, dynamo=False, **names)
        return onnx.load(str(path))


def differences(network: nn.Module, weights: Path, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Differences of the probabilities of a network and its exported file, without sign.

    Args:
        network: What was exported.
        weights: The ONNX file.
        pictures: uint8 ``[n, 1, size, size]``.
    """
    reference = _Exported(copy.deepcopy(network).cpu().eval())
    with torch.no_grad():
        expected = reference(torch.from_numpy(pictures)).numpy()
    compiled = import_openvino().Core().compile_model(weights, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = np.stack([outputs[0] for outputs in run_in_order(compiled, (picture[None] for picture in pictures))])
    return np.asarray(np.abs(found - expected), dtype=np.float32)


def export(network: nn.Module, card: ModelCard, folder: Path) -> ModelCard:
    """Writes the weights and the card of a network; the card's file and checksum are filled in.

    Raises:
        TrainingError: The exported file and the network disagree.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{card.name}.partial.onnx"
    pictures = check_pictures(card.preprocessing.size)
    model = to_onnx(network, card.preprocessing.size)
    with writing(partial):
        partial.write_bytes(model.SerializeToString())
    exact = float(differences(network, partial, pictures).max())
    partial.write_bytes(halve_weights(model).SerializeToString())
    halved = float(differences(network, partial, pictures).mean())
    if exact > EXACT or halved > HALVED:
        partial.unlink()
        raise TrainingError(
            f"the exported network differs from the trained one by up to {exact:.1e} in probability, and by "
            f"{halved:.1e} on average with float16 weights; at most {EXACT:g} and {HALVED:g} are expected"
        )
    checksum = hashlib.sha256(partial.read_bytes()).hexdigest()
    written = replace(card, file=f"{card.name}.onnx", sha256=checksum, folder=folder)
    os.replace(partial, written.weights)
    atomic_write_bytes(folder / f"{card.name}.json", written.to_json().encode())
    return written
