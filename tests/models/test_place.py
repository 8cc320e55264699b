"""Networks found by name or place, and what is said where there is none that can be used."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from groundglass.errors import UnknownModelError, UnusableModelError
from groundglass.image.prepare import Preprocessing
from groundglass.models.catalog import SEGMENTATION, available, load_card
from groundglass.models.place import card_at, segmentation_cards
from tests.support.network import PLAIN, bright_network, with_card


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A finished training run: the ONNX file in it."""
    path = with_card(tmp_path / "run" / "model", bright_network(), ["infection"], preprocessing=PLAIN)
    (tmp_path / "run" / "settings.json").write_text("{}")
    return path


def test_shipped_networks_go_by_name() -> None:
    for name in available():
        assert card_at(name) == load_card(name)
        assert card_at(name).shipped


def test_a_run_its_folder_its_network_and_its_card_are_one_model(own: Path) -> None:
    places: list[str | Path] = [own, own.with_suffix(".json"), own.parent, own.parent.parent, str(own)]
    cards = [card_at(place) for place in places]
    assert all(card == cards[0] for card in cards)
    assert cards[0].verify() == own
    assert not cards[0].shipped


def test_a_fold_of_a_cross_validation_is_a_place_and_the_whole_is_not(own: Path, tmp_path: Path) -> None:
    for number in range(2):
        shutil.copytree(own.parent, tmp_path / "cv" / f"fold-{number}" / "training" / "model")
    fold = tmp_path / "cv" / "fold-1"
    assert card_at(fold).weights == fold / "training" / "model" / "own.onnx"
    with pytest.raises(UnknownModelError, match=r"a network per fold \(fold-0, fold-1\); choose one, such as .*fold-0"):
        card_at(tmp_path / "cv")
    shutil.rmtree(tmp_path / "cv" / "fold-0")
    with pytest.raises(UnknownModelError, match=r"a network per fold \(fold-1\)"):
        card_at(tmp_path / "cv")


def test_of_several_networks_in_a_folder_one_must_be_named(own: Path) -> None:
    for ending in (".onnx", ".json"):
        shutil.copy(own.with_suffix(ending), own.with_name(f"second{ending}"))
    with pytest.raises(UnknownModelError, match=r"2 models.*model/own\.json, model/second\.json.*name its \.onnx file"):
        card_at(own.parent.parent)


def test_weights_and_card_may_be_renamed_together(own: Path, tmp_path: Path) -> None:
    for ending in (".onnx", ".json"):
        shutil.copy(own.with_suffix(ending), tmp_path / f"my best one{ending}")
    card = card_at(tmp_path / "my best one.onnx")
    assert card.verify() == tmp_path / "my best one.onnx"
    assert card.name == "own"


def test_what_is_missing_is_said(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="nothing is at that path; expected the name of a shipped model"):
        card_at(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownModelError, match=r"no model in .*expected the name"):
        card_at(tmp_path / "empty")
    (tmp_path / "empty" / "last.ckpt").write_bytes(b"")
    with pytest.raises(UnknownModelError, match="not finished: give the same"):
        card_at(tmp_path / "empty")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(UnknownModelError, match=r"neither an \.onnx file nor its card"):
        card_at(tmp_path / "text.txt")
    own.with_suffix(".json").rename(own.with_name("other.json"))
    with pytest.raises(UnknownModelError, match=r"own\.onnx has no model card; expected own\.json beside it"):
        card_at(own)
    with pytest.raises(UnknownModelError, match=r"own\.onnx has no card"):
        card_at(own.parent)
    with pytest.raises(UnknownModelError, match=r"other\.json has no weights; expected other\.onnx"):
        card_at(own.with_name("other.json"))


def test_a_changed_file_is_found_and_nobody_is_told_to_reinstall(own: Path) -> None:
    own.write_bytes(own.read_bytes() + b"\0")
    with pytest.raises(UnusableModelError, match="SHA-256") as caught:
        card_at(own).verify()
    assert "reinstall" not in str(caught.value)
    assert str(own) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"name": "x"}'])
def test_a_damaged_card_of_ones_own(own: Path, text: str) -> None:
    own.with_suffix(".json").write_text(text)
    with pytest.raises(UnusableModelError, match=r"own\.json cannot be understood"):
        card_at(own)


def test_what_a_network_does_not_find_comes_from_the_shipped_one(tmp_path: Path) -> None:
    shipped, model = load_card(SEGMENTATION), bright_network()
    infection = card_at(with_card(tmp_path / "i", model, ["infection"]))
    lungs = card_at(with_card(tmp_path / "l", model, ["lung"]))
    both = card_at(with_card(tmp_path / "b", model, ["infection", "lung"]))
    framed = card_at(with_card(tmp_path / "f", model, ["infection", "lung"], preprocessing=_framed()))
    assert segmentation_cards(SEGMENTATION) == (shipped, shipped)
    assert segmentation_cards(infection.weights) == (shipped, infection)
    assert segmentation_cards(lungs.weights) == (lungs, shipped)
    assert segmentation_cards(both.weights) == (both, both)
    # Where the lungs are must be known before this one can be shown anything.
    assert segmentation_cards(framed.weights) == (shipped, framed)


def _framed() -> Preprocessing:
    return replace(PLAIN, lung_frame="slice")


def test_networks_for_other_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableModelError, match=r"is a classifier \(COVID"):
        segmentation_cards("classifier")
    other = with_card(tmp_path / "o", bright_network(), ["vessels"])
    with pytest.raises(UnusableModelError, match="finds vessels; expected a channel 'lung' or 'infection'"):
        segmentation_cards(other)
    cropped = with_card(tmp_path / "c", bright_network(), ["lung"], preprocessing=_framed())
    with pytest.raises(UnusableModelError, match="trained on slices cropped to the lungs"):
        segmentation_cards(cropped)
