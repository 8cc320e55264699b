"""Networks with 8-bit weights and arithmetic: the two files of OpenVINO's own form in one zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from groundglass.errors import UnusableModelError

DESCRIPTION, VALUES = "network.xml", "network.bin"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_quantised(description: bytes, values: bytes) -> bytes:
    """The zip of a network; the same network always gives the same bytes.

    Args:
        description: the XML of OpenVINO's form.
        values: the weights that it refers to.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in ((DESCRIPTION, description), (VALUES, values)):
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_quantised(core: Any, file: Path, exact: Any) -> Any:  # noqa: ANN401 - the library has no types
    """Reads a quantised network.

    Args:
        core: OpenVINO's core.
        file: what `pack_quantised` gave.
        exact: the network that it was made from; inputs and outputs must be the same.

    Raises:
        UnusableModelError: no such file, or another network.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            model = core.read_model(packed.read(DESCRIPTION), packed.read(VALUES))
    except (zipfile.BadZipFile, KeyError, RuntimeError) as error:
        raise UnusableModelError(
            f"{file} cannot be read as a quantised network; expected what groundglass.training.quantise writes"
        ) from error
    shapes = [[str(port.partial_shape) for port in (*one.inputs, *one.outputs)] for one in (model, exact)]
    if shapes[0] != shapes[1]:
        raise UnusableModelError(
            f"{file} takes and gives {', '.join(shapes[0])}; expected {', '.join(shapes[1])} like the network that it "
            "was made from; quantise that again"
        )
    return model
