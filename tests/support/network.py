"""Networks of one's own for tests: the shipped one with some of its channels, or one that marks what is bright."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from groundglass.image.prepare import Preprocessing
from groundglass.models.catalog import ModelCard, load_card


def with_card(folder: Path, model: onnx.ModelProto, channels: Sequence[str], **changes: Any) -> Path:
    """Write a network with its card into a folder; the path of the ONNX file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = str(changes.pop("name", "own"))
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    card: ModelCard = replace(
        load_card(),
        name=name,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        channels=tuple(channels),
        thresholds=(0.5,) * len(channels),
        licence="of my own data",
        involvement_interval=None,
        quantised=None,
    )
    path.with_suffix(".json").write_text(replace(card, **changes).to_json())
    return path


def part_of_shipped(folder: Path, channels: Sequence[str], **changes: Any) -> Path:
    """The shipped network with some of its channels, in their order here, at the same thresholds."""
    card = load_card()
    places = [card.channels.index(name) for name in channels]
    model = onnx.load(str(card.weights))
    whole = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array(places, np.int64), "kept"))
    model.graph.node.append(helper.make_node("Gather", [whole, "kept"], ["chosen"], axis=1))
    shape = ["n", len(places), card.preprocessing.size, card.preprocessing.size]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("chosen", TensorProto.FLOAT, shape))
    thresholds = tuple(card.thresholds[place] for place in places)
    return with_card(folder, model, channels, **{"thresholds": thresholds, **changes})


def bright_network(size: int = 64, *, level: int = 100, kind: int = TensorProto.UINT8, outputs: int = 1) -> Any:
    """Gives 1 where a picture is at least `level`, else 0, in each of its channels."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("GreaterOrEqual", ["grey", "level"], ["bright"]),
        helper.make_node("Cast", ["bright"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["one"] * outputs, ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("pictures", kind, [1, 1, size, size])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, outputs, size, size])],
        [numpy_helper.from_array(np.array(level, np.float32), "level")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


PLAIN = Preprocessing(size=64, hu_windows=((-1000.0, 0.0),), hu_clip=0.0, picture_mirrored=False)
"""How `bright_network` is shown slices: without equalisation."""
