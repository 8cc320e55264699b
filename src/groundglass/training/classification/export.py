"""From a trained classifier to an ONNX file that needs no torch: logits, distance, class activation maps."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from groundglass.inference.engine import import_openvino, run_in_order
from groundglass.models.catalog import ModelCard
from groundglass.training.classification.nets.slices import SliceNetwork
from groundglass.training.export import graph_of, halve_weights

AGREEMENT = 2e-2
"""Largest mean difference of logits between the network and its float16 export."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """Where the features of familiar slices lie.

    Attributes:
        mean: (feature,).
        whitening: (feature, feature): the difference from the mean times this has unit covariance.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]

    @classmethod
    def fit(cls, features: NDArray[np.float32]) -> Familiar:
        """Mean and covariance of features (slice, feature), the latter shrunk (Ledoit and Wolf 2004).

        The distance is scaled to be 1 on average on these slices.
        """
        estimate = LedoitWolf().fit(features)
        values, vectors = np.linalg.eigh(estimate.covariance_)
        whitening = vectors / np.sqrt(np.maximum(values, 1e-12))
        distances = np.linalg.norm((features - estimate.location_) @ whitening, axis=1)
        scaled = whitening / float(distances.mean())
        return cls(np.asarray(estimate.location_, np.float32), np.asarray(scaled, np.float32))

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mahalanobis distance of features (slice, feature)."""
        return np.asarray(np.linalg.norm((features - self.mean) @ self.whitening, axis=1), np.float32)


class _Exported(nn.Module):
    """The classifier with everything that inference needs, as one graph."""

    mean: Tensor
    whitening: Tensor

    def __init__(self, network: SliceNetwork, familiar: Familiar) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.from_numpy(familiar.mean))
        self.register_buffer("whitening", torch.from_numpy(familiar.whitening))

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.feature_map(views.float())
        pooled = features.mean(dim=(2, 3))
        difference = torch.matmul(pooled - self.mean, self.whitening)
        distance = difference.pow(2).sum(dim=1, keepdim=True).sqrt()
        return self.network.answer(pooled), distance, self.network.evidence(features)


def export_classifier(network: SliceNetwork, familiar: Familiar, card: ModelCard, folder: Path) -> ModelCard:
    """Writes `<name>.onnx`; the card comes back with its checksum, not yet written.

    Raises:
        RuntimeError: the exported file and the network disagree.
    """
    folder.mkdir(parents=True, exist_ok=True)
    exported = _Exported(copy.deepcopy(network).cpu().eval(), familiar).eval()
    size = card.preprocessing.size
    outputs = ["logits", "distance", "activation"]
    model = graph_of(exported, (1, 3, size, size), input_names=["views"], output_names=outputs)
    partial = folder / f"{card.name}.partial.onnx"
    partial.write_bytes(halve_weights(model).SerializeToString())
    worst = disagreement(exported, partial, size)
    if worst > AGREEMENT:
        partial.unlink()
        raise RuntimeError(
            f"logits of the exported classifier differ by {worst:.1e}; at most {AGREEMENT:g} is expected"
        )
    final = partial.rename(folder / f"{card.name}.onnx")
    checksum = hashlib.sha256(final.read_bytes()).hexdigest()
    return replace(card, file=final.name, sha256=checksum, folder=folder)


def disagreement(exported: nn.Module, weights: Path, size: int) -> float:
    """Mean difference of logits on two random views between the graph in torch and its file in OpenVINO."""
    views = np.random.default_rng(5).integers(0, 256, (2, 3, size, size), dtype=np.uint8)
    with torch.no_grad():
        expected = exported(torch.from_numpy(views))[0].numpy()
    core = import_openvino().Core()
    compiled = core.compile_model(core.read_model(weights), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = np.stack([outputs[0] for outputs in run_in_order(compiled, (view[None] for view in views))])
    return float(np.abs(found - expected).mean())
