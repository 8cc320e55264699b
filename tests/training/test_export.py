"""Weights stored as float16."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from groundglass.training.export import graph_of, halve_weights


def stored(largest: float) -> dict[tuple[int, ...], int]:
    """Kind of number of each weight of a network one of whose weights is the largest, by shape."""
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 9, 3), nn.Flatten())
    first = network[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight[2, 0, 1, 1] = largest
    graph = graph_of(_AsFloat(network), (1, 1, 8, 8), input_names=["pictures"], output_names=["scores"])
    halved = halve_weights(graph)
    onnx.checker.check_model(halved)
    exact = {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}
    for weight in halved.graph.initializer:
        np.testing.assert_allclose(
            numpy_helper.to_array(weight), exact[weight.name.removesuffix(".half")], rtol=1e-3, atol=1e-6
        )
    return {tuple(weight.dims): weight.data_type for weight in halved.graph.initializer}


class _AsFloat(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(pictures.float())
        return scores


def test_large_weights_are_halved_and_biases_are_not() -> None:
    kinds = stored(65504.0)
    assert kinds[(8, 1, 3, 3)] == kinds[(9, 8, 3, 3)] == TensorProto.FLOAT16
    assert kinds[(8,)] == TensorProto.FLOAT


@pytest.mark.parametrize("largest", [65536.0, -1e30, np.inf, np.nan])
def test_what_float16_cannot_hold_stays_exact(largest: float) -> None:
    kinds = stored(largest)
    assert kinds[(8, 1, 3, 3)] == TensorProto.FLOAT
    assert kinds[(9, 8, 3, 3)] == TensorProto.FLOAT16
