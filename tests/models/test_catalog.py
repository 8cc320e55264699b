"""Model cards and the check of their weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from groundglass.errors import ModelError, UnknownModelError, WeightsCorruptError, WeightsMissingError
from groundglass.models.catalog import SEGMENTATION, WEIGHTS, available, load_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in WEIGHTS.glob(f"{SEGMENTATION}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_every_shipped_model_verifies_and_says_what_it_is() -> None:
    assert SEGMENTATION in available()
    for name in available():
        card = load_card(name)
        assert card.name == name
        assert hashlib.sha256(card.verify().read_bytes()).hexdigest() == card.sha256
        assert card.trained_on
        assert card.not_trained_on
        assert card.limits
        assert "non-commercial" in card.licence
        assert len(card.thresholds) == len(card.channels)
        assert all(metric.protocol for metric in card.metrics)
        assert card.weights.stat().st_size < 20_000_000


def test_card_survives_the_way_to_json_and_back(folder: Path) -> None:
    card = load_card(folder=folder)
    (folder / "copy.json").write_text(replace(card, name="copy").to_json())
    assert load_card("copy", folder) == replace(card, name="copy")


def test_unknown_model_lists_the_known_ones(folder: Path) -> None:
    with pytest.raises(UnknownModelError, match=SEGMENTATION):
        load_card("nothing", folder)


@pytest.mark.parametrize("name", ["../lungs-infection", "", "LUNGS-INFECTION "])
def test_names_are_not_paths(name: str, folder: Path) -> None:
    with pytest.raises(UnknownModelError):
        load_card(name, folder)


def test_missing_weights(folder: Path) -> None:
    card = load_card(folder=folder)
    card.weights.unlink()
    with pytest.raises(WeightsMissingError, match="copy the weights and their card together"):
        card.verify()


@pytest.mark.parametrize("position", [0, -1])
def test_a_single_changed_byte_is_found(folder: Path, position: int) -> None:
    card = load_card(folder=folder)
    content = bytearray(card.weights.read_bytes())
    content[position] ^= 1
    card.weights.write_bytes(content)
    with pytest.raises(WeightsCorruptError, match="SHA-256"):
        card.verify()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "x"}'])
def test_a_damaged_card_is_a_model_error(folder: Path, text: str) -> None:
    (folder / f"{SEGMENTATION}.json").write_text(text)
    with pytest.raises(ModelError, match="cannot be understood"):
        load_card(folder=folder)


def test_unexpected_field_in_a_card_is_refused(folder: Path) -> None:
    path = folder / f"{SEGMENTATION}.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"surprise": 1}))
    with pytest.raises(WeightsCorruptError):
        load_card(folder=folder)
