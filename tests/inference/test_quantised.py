"""The network in 8 bits: used where it agrees, refused where it is damaged or of another network."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundglass.errors import OptionError, UnusableModelError, WeightsCorruptError, WeightsMissingError
from groundglass.inference import engine as engine_module
from groundglass.inference.engine import Engine, check_pictures, import_openvino
from groundglass.inference.quantised import DESCRIPTION, VALUES, pack_quantised
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import WEIGHTS, ModelCard, load_card
from groundglass.settings import Settings
from tests.support.network import bright_network


def _packed(folder: Path, model: Any) -> Path:
    """A network in the form of a quantised one."""
    openvino = import_openvino()
    source = folder / "source.onnx"
    source.write_bytes(model.SerializeToString())
    openvino.save_model(openvino.Core().read_model(source), folder / "network.xml")
    path = folder / "net.int8.zip"
    path.write_bytes(pack_quantised((folder / "network.xml").read_bytes(), (folder / "network.bin").read_bytes()))
    return path


def _exact(folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(bright_network(level=100).SerializeToString())
    return path


def _answer(engine: Engine) -> np.ndarray:
    return np.stack(list(engine.infer([picture[0] for picture in check_pictures(engine.size)])))


def test_a_quantised_network_that_agrees_is_used(tmp_path: Path) -> None:
    exact, packed = _exact(tmp_path), _packed(tmp_path, bright_network(level=100))
    chosen = Engine(exact, quantised=packed)
    assert chosen.precision == "int8"
    np.testing.assert_array_equal(_answer(chosen), _answer(Engine(exact, precision="f32")))


def test_one_that_differs_is_used_only_if_it_is_asked_for(tmp_path: Path) -> None:
    exact, packed = _exact(tmp_path), _packed(tmp_path, bright_network(level=130))
    assert Engine(exact, quantised=packed).precision != "int8"
    asked = Engine(exact, quantised=packed, precision="int8")
    assert asked.precision == "int8"
    assert (_answer(asked) != _answer(Engine(exact, precision="f32"))).any()


def test_the_answer_is_remembered_for_each_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, packed = _exact(tmp_path), _packed(tmp_path, bright_network(level=130))
    first = Engine(exact, quantised=packed, cache=tmp_path / "cache").precision
    monkeypatch.setattr(Engine, "_difference", lambda *_: pytest.fail("found out again"))
    assert Engine(exact, quantised=packed, cache=tmp_path / "cache").precision == first


def test_int8_of_a_network_without_it(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no int8 weights"):
        Engine(_exact(tmp_path), precision="int8")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pack_quantised(b"<net/>", b"")])
def test_a_file_that_is_no_quantised_network(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.int8.zip"
    path.write_bytes(content)
    with pytest.raises(UnusableModelError, match=r"net\.int8\.zip"):
        Engine(_exact(tmp_path), quantised=path)


def test_one_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableModelError, match="quantise that again"):
        Engine(_exact(tmp_path), quantised=_packed(tmp_path, bright_network(size=96)))


def test_the_same_network_packs_to_the_same_bytes() -> None:
    assert pack_quantised(b"a" * 1000, b"b") == pack_quantised(b"a" * 1000, b"b")
    assert DESCRIPTION != VALUES


@pytest.fixture
def shipped(tmp_path: Path) -> ModelCard:
    """A copy of the shipped network with its 8-bit weights."""
    card = load_card()
    if card.quantised is None:
        pytest.skip("the shipped network has no int8 weights")
    for name in (card.file, card.quantised.file):
        shutil.copy(card.folder / name, tmp_path)
    return replace(card, folder=tmp_path)


def test_the_shipped_one_is_verified_and_nearly_the_exact_one(shipped: ModelCard) -> None:
    assert shipped.quantised is not None
    assert (shipped.folder / shipped.quantised.file).stat().st_size < 6_000_000
    assert all(metric.protocol for metric in shipped.quantised.metrics)
    segmenters = [SliceSegmenter(shipped, precision=precision) for precision in ("int8", "f32")]
    pictures = [picture[0] for picture in check_pictures(segmenters[0].size)]
    found, expected = (one.probabilities(pictures, kind="picture").astype(int) for one in segmenters)
    assert [one.precision for one in segmenters] == ["int8", "f32"]
    assert 0 < np.abs(found - expected).mean() / 2.55 < engine_module.AGREEMENT["int8"]


def test_a_changed_or_missing_file(shipped: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped.quantised is not None
    path = shipped.folder / shipped.quantised.file
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsCorruptError, match="SHA-256"):
        shipped.verify_quantised()
    path.unlink()
    assert shipped.verify_quantised() is None  # a network of one's own works without it
    monkeypatch.setattr(ModelCard, "shipped", property(lambda card: card.folder in (WEIGHTS, shipped.folder)))
    with pytest.raises(WeightsMissingError, match="reinstall"):
        shipped.verify_quantised()


def test_int8_is_a_setting() -> None:
    assert Settings.from_environment({"GROUNDGLASS_PRECISION": "int8"}).precision == "int8"
    with pytest.raises(OptionError, match="int8"):
        Settings.from_environment({"GROUNDGLASS_PRECISION": "int4"})
