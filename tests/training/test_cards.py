"""Cards of own networks: who was learned from is known again under other names, and nobody else is."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.models.catalog import LearnedPatient, ModelCard, available, load_card
from groundglass.progress import silent
from groundglass.training.cards import run_card
from groundglass.training.material import gather
from groundglass.training.presets import load_preset
from groundglass.training.run import TrainOptions
from tests.training.pictures import write_pictures


@pytest.fixture
def card(pictures: Path, tiny: Path, tmp_path: Path) -> ModelCard:
    """Of a network that learned from, or chose by, the volumes v0 and v2 of the patients p0 and p2."""
    preset = load_preset(tiny)
    material = gather(preset, pictures, tmp_path / "cache", folds=(0,), options=TrainOptions(), progress=silent)
    return run_card(preset, material, 1, ())


def renamed(data: Path, volume: str, patient: str) -> LabelledData:
    """The data with other names: ``v0`` becomes ``volume`` and 0, ``p0`` ``patient`` and 0."""
    table = data / "slices.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "volume": volume + row["volume"][1:], "patient": patient + row["patient"][1:]})
    return read_data(data)


def learned(data: LabelledData, card: ModelCard) -> set[str]:
    return data.of_patients_in(card.learned_from, card.learned_patients)


def test_who_was_learned_from_is_known_under_other_names(card: ModelCard, pictures: Path, tmp_path: Path) -> None:
    data = renamed(Path(shutil.copytree(pictures, tmp_path / "copy")), "scan", "someone")
    assert data.of_patients_in(card.learned_from) == set()
    assert learned(data, card) == {"scan0", "scan2"}


def test_the_same_number_in_another_data_set_is_somebody_else(card: ModelCard, tmp_path: Path) -> None:
    data = renamed(write_pictures(tmp_path / "others", first_seed=4000), "scan", "p")
    assert "p0" in data.patients
    assert learned(data, card) == set()


def test_a_number_counts_where_an_image_shows_that_it_is_the_same(
    card: ModelCard, pictures: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(pictures, tmp_path / "copy"))
    new = write_pictures(tmp_path / "others", first_seed=4000)
    for path in (new / "ct").glob("p2_*"):  # another scan of the second patient
        shutil.copy(path, data / "ct")
    assert learned(renamed(data, "scan", "p"), card) == {"scan0", "scan2"}


def test_a_card_keeps_whom_it_learned_from(card: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(card.to_json())
    read = load_card("tiny", tmp_path)
    assert read.learned_patients == card.learned_patients
    assert [one.patient for one in read.learned_patients] == ["p0", "p2"]
    assert all(isinstance(one, LearnedPatient) and len(one.images) == 1 for one in read.learned_patients)


@pytest.mark.parametrize("name", available())
def test_a_card_without_patients_is_read(name: str) -> None:
    assert load_card(name).learned_patients == ()
