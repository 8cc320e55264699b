"""The ONNX network and the model card that a run of a classifier preset leaves."""

from __future__ import annotations

import copy
import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from groundglass import __version__
from groundglass.errors import TrainingError
from groundglass.image.prepare import Preprocessing
from groundglass.image.stages import WHOLE_SLICE
from groundglass.inference.engine import check_pictures, import_openvino
from groundglass.io.write import atomic_write_bytes, writing
from groundglass.models.catalog import Metric, ModelCard
from groundglass.training.cards import LICENCE
from groundglass.training.classification.nets.simple import SliceNetwork
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.export import graph_of, halve_weights

MODEL = "model"
"""Folder of a run that gets the network and its card."""
AGREEMENT = 5e-3
"""Largest mean difference of the probabilities between a network and its export."""


class _Exported(nn.Module):
    """The network with 8-bit pictures as input and probabilities as output."""

    def __init__(self, network: SliceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.softmax(self.network(pictures.float()), dim=1)


def export_run(network: SliceNetwork, preset: ClassifierPreset, result: dict[str, Any], folder: Path) -> ModelCard:
    """Writes `<preset>.onnx` and its card.

    The network's input `pictures` is uint8 (n, 1, size, size), slices at the preset's image stage; its output
    `probabilities` is float32 (n, class).

    Args:
        network: trained.
        preset: what was trained.
        result: counts and scores, as in `result.json`.
        folder: where they go.

    Raises:
        TrainingError: the exported file and the network disagree.
        OutputError: the folder cannot be written.
    """
    exported = _Exported(copy.deepcopy(network).cpu().eval()).eval()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{preset.name}.partial.onnx"
    stored = _write_verified(exported, partial, preset)
    checksum = hashlib.sha256(partial.read_bytes()).hexdigest()
    card = replace(run_card(network, preset, result, stored), sha256=checksum, folder=folder)
    os.replace(partial, card.weights)
    atomic_write_bytes(folder / f"{card.name}.json", card.to_json().encode())
    return card


def _write_verified(exported: nn.Module, path: Path, preset: ClassifierPreset) -> str:
    """Writes the network with float16 weights, or with float32 where it does not bear the rounding; says which."""
    model, found = _to_onnx(exported, preset.size), np.inf
    for stored, variant in (("float16", halve_weights(model)), ("float32", model)):
        with writing(path):
            path.write_bytes(variant.SerializeToString())
        found = difference(exported, path, preset.size)
        if found <= AGREEMENT:
            return stored
    path.unlink()
    raise TrainingError(
        f"probabilities of the exported classifier {preset.name} differ from those of the trained one by {found:.1e} "
        f"on average; at most {AGREEMENT:g} is expected"
    )


def _to_onnx(exported: nn.Module, size: int) -> onnx.ModelProto:
    names, many = {"input_names": ["pictures"], "output_names": ["probabilities"]}, {0: "n"}
    return graph_of(exported, (1, 1, size, size), **names, dynamic_axes={"pictures": many, "probabilities": many})


def difference(exported: nn.Module, weights: Path, size: int) -> float:
    """Mean difference of the probabilities on two pictures between the graph in torch and its file in OpenVINO."""
    pictures = check_pictures(size, 2)
    with torch.no_grad():
        expected = exported(torch.from_numpy(pictures)).numpy()
    compiled = import_openvino().Core().compile_model(weights, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(np.abs(compiled(pictures)[0] - expected).mean())


def run_card(
    network: SliceNetwork, preset: ClassifierPreset, result: dict[str, Any], stored: str = "float32"
) -> ModelCard:
    """The card of a finished run, before its network is written.

    Args:
        network: trained.
        preset: what was trained.
        result: counts and scores, as in `result.json`.
        stored: kind of number that the weights are stored as.
    """
    million = sum(weight.numel() for weight in network.parameters()) / 1e6
    counts = result["slices"]
    lungs = "" if preset.stage in WHOLE_SLICE else f", lungs by {preset.lungs}"
    return ModelCard(
        name=preset.name,
        task=f"{', '.join(preset.class_names)}: the class of an axial chest CT slice",
        architecture=f"{preset.network}, started from {network.started_from}, {million:.1f} million weights, stored as "
        f"{stored}; preset '{preset.name}' of groundglass {__version__}",
        file=f"{preset.name}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=preset.class_names,
        thresholds=(0.5,) * len(preset.class_names),
        preprocessing=Preprocessing(size=preset.size),
        trained_on=(f"{counts['train']} slices",),
        not_trained_on=tuple(f"{part}: {count} slices" for part, count in counts.items() if part != "train"),
        licence=LICENCE,
        metrics=tuple(_metrics(result)),
        limits=(
            "Not a medical device.",
            f"Expects slices at the image stage '{preset.stage}'{lungs}, {preset.size} x {preset.size} pixels.",
            "Its probabilities are not calibrated, and it never abstains.",
            "The epoch was chosen by the validation AUROC, so the validation scores are optimistic.",
        ),
    )


def _metrics(result: dict[str, Any]) -> list[Metric]:
    found = []
    for part, name in (("val", "validation"), ("test", "test")):
        for score, one in result.get(part, {}).get("scores", {}).items():
            if one["value"] is None:
                continue
            protocol = f"{result['slices'][part]} slices"
            if spread := one["interval"]:
                protocol += f"; 95 % {spread[0]:.3f} to {spread[1]:.3f}"
            found.append(Metric(f"{score}, {name}", round(one["value"], 4), protocol, {}))
    return found
