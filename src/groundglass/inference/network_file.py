"""Reads a network from its ONNX file and checks that slices can be shown to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundglass.errors import UnusableModelError

SHAPE = "one input uint8 [n, 1, size, size] and one output [n, channel, size, size]"

FIRST_BYTE = b"\x08"
"""Of an ONNX file: the protocol buffer begins with the field 1, `ir_version`, a number."""


def read_network(core: Any, weights: Path) -> Any:  # noqa: ANN401 - the library has no types
    """Reads a network of grey pictures, for one picture at a time.

    Args:
        core: OpenVINO's core.
        weights: the ONNX file.

    Raises:
        UnusableModelError: no ONNX file, or a network with other inputs or outputs.
    """
    damaged = f"{weights} cannot be read as a network; expected an ONNX file of {SHAPE}"
    with weights.open("rb") as file:
        if file.read(1) != FIRST_BYTE:  # the library would try other formats and complain on stderr
            raise UnusableModelError(damaged)
    try:
        model = core.read_model(weights)
    except RuntimeError as error:
        raise UnusableModelError(damaged) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnusableModelError(
            f"{weights} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected {SHAPE}"
        )
    shape, kind = model.inputs[0].partial_shape, model.inputs[0].element_type.get_type_name()
    sides = list(shape)[2:] if shape.rank.is_static and len(shape) == 4 else []
    fixed = len(sides) == 2 and all(side.is_static for side in sides) and sides[0] == sides[1]
    if not fixed or shape[1] not in (1, -1) or kind != "u8":
        raise UnusableModelError(f"{weights} takes {kind} {shape}; expected {SHAPE}")
    size = sides[1].get_length()
    try:
        model.reshape([1, 1, size, size])
    except RuntimeError as error:
        raise UnusableModelError(f"{weights} does not take one picture at a time; expected {SHAPE}") from error
    found = model.outputs[0].partial_shape
    if found.is_dynamic or len(found) != 4 or [side.get_length() for side in found][2:] != [size, size]:
        raise UnusableModelError(f"{weights} gives {found} for a picture of {size} pixels; expected {SHAPE}")
    return model
