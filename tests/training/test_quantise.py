"""A quantised network is kept only if it loses next to nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from groundglass.inference.engine import Engine
from groundglass.training.quantise import LARGEST_FALL, LARGEST_SHIFT, losses, quantise

EXACT = {
    "lung Dice, covid20": {"a": 0.97, "b": 0.98},
    "infection Dice, covid20": {"a": 0.7, "b": 0.8},
    "involvement, percent": {"s": 2.0, "t": 12.0},
}


def test_the_same_scores_lose_nothing() -> None:
    assert losses(EXACT, EXACT) == []


@pytest.mark.parametrize(
    ("name", "case", "by", "words"),
    [
        ("lung Dice, covid20", "a", 2.2 * LARGEST_FALL, "lung Dice, covid20 falls"),
        ("infection Dice, covid20", "b", 2.2 * LARGEST_FALL, "infection Dice, covid20 falls"),
        ("involvement, percent", "t", 2.2 * LARGEST_SHIFT, "involvement shifts"),
        ("involvement, percent", "s", -2.2 * LARGEST_SHIFT, "involvement shifts"),
    ],
)
def test_each_loss_is_named(name: str, case: str, by: float, words: str) -> None:
    found = copy.deepcopy(EXACT)
    found[name][case] -= by
    assert [words in reason for reason in losses(EXACT, found)] == [True]
    found[name][case] += 0.5 * by
    found[name][case] += 0.1 * by
    assert losses(EXACT, found) == []


def test_a_small_network_is_quantised_but_for_its_ends(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    torch = pytest.importorskip("torch")
    from groundglass.training.export import to_onnx

    torch.manual_seed(3)
    layers = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 8), (8, 8), (8, 8), (8, 2))]
    network = torch.nn.Sequential(*[part for layer in layers for part in (layer, torch.nn.ReLU())][:-1])
    weights = tmp_path / "net.onnx"
    weights.write_bytes(to_onnx(network, 64).SerializeToString())
    pictures = list(np.random.default_rng(0).integers(0, 255, (4, 64, 64), dtype=np.uint8))
    packed = tmp_path / "net.int8.zip"
    packed.write_bytes(quantise(weights, pictures))
    assert b"FakeQuantize" in _description(packed)
    found, exact = (
        np.stack(list(Engine(weights, quantised=packed, precision=precision).infer(pictures)))
        for precision in ("int8", "f32")
    )
    assert 0 < np.abs(found - exact).mean() < 0.05


def _description(packed: Path) -> bytes:
    import zipfile

    from groundglass.inference.quantised import DESCRIPTION

    with zipfile.ZipFile(packed) as content:
        return content.read(DESCRIPTION)
