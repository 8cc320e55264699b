"""Presets: all of them load and train; what is wrong in one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pytest.importorskip("monai")
pytest.importorskip("transformers")
pytest.importorskip("efficientnet_lite_pytorch")

from pydantic import BaseModel  # noqa: E402

from groundglass.errors import PresetError  # noqa: E402
from groundglass.models.catalog import load_card  # noqa: E402
from groundglass.training.nets import build_network  # noqa: E402
from groundglass.training.presets import available_presets, load_preset  # noqa: E402
from groundglass.training.presets.model import (  # noqa: E402
    BCDUNetwork,
    LiteNetwork,
    MobileNetV2Network,
    Preset,
    UNetNetwork,
)
from groundglass.training.run import TrainOptions, train  # noqa: E402
from tests.training.pictures import TINY, tiny_preset  # noqa: E402

SMALL: dict[str, BaseModel] = {
    "unet": UNetNetwork(features=(4, 4, 4, 4, 4)),
    "bcdunet": BCDUNetwork(filters=2),
    "mobilenetv2-unet": MobileNetV2Network(decoder=(4, 4, 4, 4), width=0.35, pretrained=None),
    "lite-unet": LiteNetwork(decoder=(4, 4, 4, 4), pretrained=False),
}


def smaller(preset: Preset) -> Preset:
    """The same preset with a small network, small pictures and single precision."""
    sizes = (32,) * (len(preset.sizes) - 1) + (64,)
    steps = tuple(
        step.model_copy(update={"size": 64}) if step.step == "resize" else step for step in preset.preparation
    )
    schedule = preset.schedule.model_copy(update={"precision": "fp32", "batch": 2})
    network = SMALL[preset.network.kind]
    changes = {"network": network, "sizes": sizes, "preparation": steps, "schedule": schedule}
    return preset.model_copy(update=changes)


@pytest.mark.parametrize("name", available_presets())
def test_every_preset_trains_two_steps(name: str, pictures: Path, tmp_path: Path) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.title
    assert preset.reproduces
    run = train(smaller(preset), pictures, tmp_path, options=TrainOptions(steps=2, workers=0))
    card = load_card(name, run.card.parent)
    assert card.channels == preset.channels
    assert card.preprocessing.needs_lungs == preset.needs_lungs
    assert run.steps == 2


def test_a_network_of_cropped_slices_says_so_in_its_card() -> None:
    shown = load_preset("infection-unet").shown
    assert (shown.lung_frame, shown.lung_margin, shown.lungs_alone) == ("slice", 0.03, False)
    assert not load_preset("lungs-infection").shown.needs_lungs


def test_the_five_presets_are_there() -> None:
    expected = {"infection-unet", "lungs-unet", "lungs-bcdunet", "lungs-infection-mobilenetv2", "lungs-infection"}
    assert expected <= set(available_presets())


@pytest.mark.parametrize("kind", SMALL)
def test_networks_answer_at_the_resolution_of_their_input(kind: str) -> None:
    network = build_network(SMALL[kind], 2).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 2, 64, 96)
    assert isinstance(network.encoder, torch.nn.Module)
    assert list(network.encoder.parameters())


@pytest.mark.parametrize("name", ["lungs-unet", "lungs-bcdunet", "lungs-infection-mobilenetv2", "lungs-infection"])
def test_a_network_with_random_weights_tells_pictures_apart(name: str) -> None:
    torch.manual_seed(0)
    described = load_preset(name).network
    if isinstance(described, LiteNetwork | MobileNetV2Network):
        described = described.model_copy(update={"pretrained": None if described.kind != "lite-unet" else False})
    clouds = torch.nn.functional.interpolate(torch.rand(4, 1, 9, 9), 64, mode="bilinear") * 255
    with torch.no_grad():
        answers = build_network(described, 1).train()(clouds)
    assert float(answers.std(dim=0).mean()) > 0.03


def test_the_convolutional_lstm_sees_both_orders() -> None:
    from groundglass.training.nets.bcdunet import BidirectionalJoin

    join, first, second = BidirectionalJoin(4), torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    assert not torch.allclose(join(first, second), join(second, first))


def test_imagenet_weights_that_are_not_there_are_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    build_network(MobileNetV2Network(decoder=(4, 4, 4, 4), pretrained=str(tmp_path)), 1)
    assert "starts at random" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("sizes = [32]", "sizes = [33]"), "sizes.*multiple of 32"),
        (('step = "flip"', 'step = "fly"'), "augmentation"),
        (("rate = 0.01", "rate = -1"), "schedule.rate.*found -1"),
        (("steps = 4", "steps = 4\nepochs = 2"), "exactly one of 'steps' and 'epochs'"),
        (("smooth = 1.0", "smoth = 1.0"), "loss.smoth"),
        (('channels = ["lung", "infection"]', 'channels = ["lung", "lung"]'), "each once"),
        (("[schedule]", "[schedule"), "not valid TOML"),
    ],
)
def test_a_wrong_preset_is_explained(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    assert change[0] in TINY
    with pytest.raises(PresetError, match=words):
        load_preset(tiny_preset(tmp_path, TINY.replace(*change)))


def test_a_preset_says_what_differs_from_its_base(tmp_path: Path) -> None:
    mine = tiny_preset(tmp_path, 'base = "lungs-infection"\nsizes = [64]\n[schedule]\nrate = 0.5\n')
    got, base = load_preset(mine), load_preset("lungs-infection")
    assert (got.sizes, got.schedule.rate, got.schedule.steps) == ((64,), 0.5, base.schedule.steps)
    assert got.augmentation == base.augmentation
    assert load_preset("lungs-infection-refine").network == base.network
    # Shown larger in use than in training, in steps of 32 pixels.
    assert (base.size, base.size_in_use, base.shown.size) == (256, 320, 320)
    assert (got.size_in_use, load_preset("lungs-unet").shown.size) == (64, 224)
    with pytest.raises(PresetError, match=r"based on 'nonsense'.*lungs-infection"):
        load_preset(tiny_preset(tmp_path, 'base = "nonsense"\n'))


def test_unknown_presets_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"no preset named 'nonsense'.*lungs-infection"):
        load_preset("nonsense")
    with pytest.raises(PresetError, match="no preset file"):
        load_preset(tmp_path / "absent.toml")


def test_a_classifier_is_no_segmentation_preset(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="segmentation"):
        load_preset(tiny_preset(tmp_path, 'task = "classification"\n' + TINY))


def test_values_of_a_preset_can_be_changed_one_by_one() -> None:
    plain = load_preset("lungs-unet")
    own = load_preset("lungs-unet", ["loss.name=focal", "schedule.rate=2e-3", "sizes=[64, 96]", "title=My own"])
    assert (own.loss.name, own.schedule.rate, tuple(own.sizes), own.title) == ("focal", 2e-3, (64, 96), "My own")
    assert own.schedule.batch == plain.schedule.batch
    assert load_preset("lungs-unet") == plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("loss", "expected KEY=VALUE"),
        ("=focal", "expected KEY=VALUE"),
        ("loss.name=", "expected KEY=VALUE"),
        ("title.name=x", "title is no table"),
        ("loss.name=best", "loss.name: Input should be"),
        ("colour=red", "colour: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_change_is_explained(change: str, words: str) -> None:
    with pytest.raises(PresetError, match=words):
        load_preset("lungs-unet", [change])
