"""Runs that start from another network: what is copied, what is known of it, and what may be scored afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("pytorch_lightning")
import torch
from torch import Tensor, nn

from groundglass.cli.main import main
from groundglass.errors import LeakageError, ModelError, OptionError
from groundglass.models.catalog import CLASSIFIER, SEGMENTATION, load_card
from groundglass.training.export import to_onnx
from groundglass.training.folded import load_folded
from groundglass.training.nets.unet import LiteUNet, UNetConfig
from groundglass.training.presets import load_preset
from groundglass.training.run import TrainOptions, train
from groundglass.training.transfer import find_start

SMALL = (8, 8, 8, 8)


def network(outputs: int = 2, seed: int = 0) -> LiteUNet:
    """A network with other statistics than those of a fresh one."""
    torch.manual_seed(seed)
    made = LiteUNet(UNetConfig(outputs=outputs, decoder=SMALL, pretrained=False)).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            torch.as_tensor(module.running_mean).uniform_(-0.2, 0.2)
            torch.as_tensor(module.running_var).uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.7, 1.4)
    return made


def exported(made: nn.Module, folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(to_onnx(made, 64).SerializeToString())
    return path


def images() -> Tensor:
    return torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(3)) * 255


@torch.no_grad()
def answer(made: nn.Module) -> Tensor:
    return torch.as_tensor(made.eval()(images()))


def test_an_exported_network_answers_as_before(tmp_path: Path) -> None:
    donor, started = network(), network(seed=1)
    assert load_folded(started, exported(donor, tmp_path), images()) == 57
    expected = answer(donor)
    torch.testing.assert_close(answer(started), expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max()))


def test_a_head_of_other_channels_starts_anew(tmp_path: Path) -> None:
    donor, started = network(3), network(2, seed=1)
    head = started.head.weight.clone()
    assert load_folded(started, exported(donor, tmp_path), images()) == 56
    assert torch.equal(started.head.weight, head)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    path = exported(network(), tmp_path)
    wider = LiteUNet(UNetConfig(outputs=2, decoder=(16, 8, 8, 8), pretrained=False))
    shorter = nn.Sequential(nn.Conv2d(1, 2, 3))
    with_more = nn.Sequential(network(), nn.ConvTranspose2d(2, 2, 2))
    for other in (wider, shorter, with_more):
        with pytest.raises(OptionError, match=r"expected a network of the same architecture"):
            load_folded(other, path, images())


def test_the_shipped_network_is_a_start_with_a_card() -> None:
    start = find_start(Path(SEGMENTATION))
    assert start.weights == load_card(SEGMENTATION).weights
    assert start.card is not None
    assert "radiopaedia_10_85902_1" in start.card.learned_from


def test_a_start_is_found_by_run_and_by_checkpoint(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    first = train(load_preset(tiny), pictures, tmp_path / "first", options=TrainOptions(workers=0, steps=2))
    for place in (first.folder, first.last):
        found = find_start(place).card
        assert found is not None
        assert found.learned_from == load_card("tiny", first.folder / "model").learned_from
    loose = Path(shutil.copy(first.last, tmp_path / "loose.ckpt"))
    assert find_start(loose).card is None
    with pytest.raises(ModelError, match="no model at"):
        find_start(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("lungs-infecton", r"nothing to start from at lungs-infecton; expected a shipped model"),
        (CLASSIFIER, "classifier"),
    ],
)
def test_what_is_no_start_is_refused_before_anything_is_read(place: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        find_start(Path(place))


def test_a_card_names_what_the_start_learned_from(
    pictures: Path, tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Patients p0 and p2 are of fold 0, p1 and p3 of fold 1."""
    first = train(
        load_preset(tiny),
        pictures,
        tmp_path / "first",
        folds=(1,),
        options=TrainOptions(workers=0, steps=2, validation_folds=(0,)),
    )
    options = TrainOptions(workers=0, steps=2, validation_folds=(1,), start=first.folder)
    second = train(load_preset(tiny), pictures, tmp_path / "second", folds=(0,), options=options)
    card = load_card("tiny", second.folder / "model")
    assert card.learned_from == ("v0", "v1", "v2", "v3")
    assert [one.patient for one in card.learned_patients] == ["p0", "p1", "p2", "p3"]
    assert any(line.startswith("Started from 'tiny'") for line in card.trained_on)
    # Whom the start has learned from says nothing about the new network.
    assert card.metrics == ()
    assert "the start has learned from (v1, v3)" in caplog.text


def test_patients_of_the_start_are_not_scored_afterwards(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    first = train(load_preset(tiny), pictures, tmp_path / "first", options=TrainOptions(workers=0, steps=2))
    options = TrainOptions(workers=0, steps=2, test_folds=(1,), validation_folds=(), start=first.folder)
    with pytest.raises(LeakageError, match=r"'tiny' that the run starts from has learned .* \(v1, v3\)"):
        train(load_preset(tiny), pictures, tmp_path / "second", folds=(0,), options=options)


def test_weights_without_a_card_are_named_as_such(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    first = train(load_preset(tiny), pictures, tmp_path / "first", options=TrainOptions(workers=0, steps=2))
    loose = Path(shutil.copy(first.last, tmp_path / "loose.ckpt"))
    options = TrainOptions(workers=0, steps=2, start=loose)
    second = train(load_preset(tiny), pictures, tmp_path / "second", options=options)
    limits = load_card("tiny", second.folder / "model").limits
    assert any("loose.ckpt, which has no card" in line for line in limits)


def test_the_command_goes_on_from_the_shipped_network(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "lungs-infection", "--data", str(pictures), "-o", str(tmp_path / "run"), "--workers", "0"]
    arguments += ["--start", "lungs-infection", "--steps", "1", "--batch", "2", "--rate", "1e-6"]
    assert main([*arguments, "--set", "sizes=[64]", "--set", "schedule.average_decay=0", "--quiet"]) == 0
    card = load_card("lungs-infection", tmp_path / "run" / "model")
    assert set(card.learned_from) > {"coronacases_001", "v0"}
    assert any("Started from 'lungs-infection' of" in line for line in card.trained_on)
    assert "Traceback" not in capsys.readouterr().err
