"""What is no network for slices is refused before a scan is analyzed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from groundglass.errors import UnusableModelError
from groundglass.inference.engine import Engine
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.place import card_at
from tests.support.network import PLAIN, bright_network, with_card


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08", b"\x08\x08\x12\x04text"])
def test_a_file_that_is_no_onnx(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UnusableModelError, match=r"net\.onnx"):
        Engine(path)
    if not content.startswith(b"\x08"):
        assert capfd.readouterr().err == ""  # the library is not asked, which would complain at length


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(bright_network(kind=TensorProto.FLOAT).SerializeToString())
    with pytest.raises(UnusableModelError, match="takes f32"):
        Engine(path)


@pytest.mark.parametrize(
    ("changes", "channels"),
    [({}, ["lung", "infection"]), ({"thresholds": (0.5, 0.5)}, ["infection"]), ({"size": 96}, ["infection"])],
)
def test_a_card_that_promises_something_else(changes: dict[str, Any], channels: list[str], tmp_path: Path) -> None:
    recipe = replace(PLAIN, size=changes.pop("size", 64))
    path = with_card(tmp_path, bright_network(64), channels, preprocessing=recipe, **changes)
    with pytest.raises(UnusableModelError, match="gives 1 channels of 64 pixels"):
        SliceSegmenter(card_at(path))
