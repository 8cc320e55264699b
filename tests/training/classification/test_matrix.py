from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from groundglass.image.prepare import Preprocessing
from groundglass.models.catalog import load_card

pytest.importorskip("torch")
import torch

from groundglass.errors import DatasetError, OptionError
from groundglass.models.catalog import CLASSIFIER, Metric
from groundglass.training.classification.matrix import matrix, rows_of, slices_to_test, train_row
from groundglass.training.classification.matrix_tables import SCORES, markdown, run_title, shown, table
from groundglass.training.classification.shipped import ShippedConfig
from groundglass.training.classification.sources import learned_part, load_sources, part, without_twins_of
from groundglass.training.classification.unseen import PREFIX, kept_entries, unseen_entries, unseen_limit
from tests.training.classification.conftest import slice_picture

SIZE = 32


class TwoEllipses:
    """Finds the lungs of `slice_picture` where they are, and infection where they are bright."""

    card = replace(load_card(), preprocessing=Preprocessing())

    def stream(self, images: Iterable[np.ndarray], *, kind: str) -> Iterator[np.ndarray]:
        for image in images:
            y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
            lung = (((np.abs(x) - 0.4) / 0.3) ** 2 + (y / 0.55) ** 2 < 1).astype(np.uint8) * 255
            yield np.stack([lung, np.where(image > 90, lung, 0), np.zeros_like(lung)]).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources with patients, one of which names its parts, and one of normal slices alone."""
    root, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(1)
    for source, kinds in (("alpha", ("COVID", "NonCOVID")), ("beta", ("COVID", "Normal")), ("gamma", ("Normal",))):
        rows = ["file,label,patient,split"]
        (root / source).mkdir()
        for kind in kinds:
            for patient in range(10):
                file, given = f"{kind}{patient}.png", ("val" if patient > 6 else "train") if source == "alpha" else ""
                cv2.imwrite(str(root / source / file), slice_picture(rng, kind))
                rows.append(f"{file},{kind},{kind}-{patient},{given}")
        (root / source / "images.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def loaded(data: Path) -> Any:
    return load_sources(data, TwoEllipses())  # type: ignore[arg-type]


CONFIG = ShippedConfig(steps=2, batch=4, size=SIZE, validate_every=1)


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("matrix")
    return folder, matrix(data, folder, CONFIG, segmenter=TwoEllipses())  # type: ignore[arg-type]


def test_parts_share_no_patient_and_keep_the_official_test(loaded: Any) -> None:
    groups = {
        split: {one.slice.group for one in loaded if one.slice.split == split} for split in ("train", "val", "test")
    }
    assert not groups["train"] & groups["val"]
    assert not groups["test"] & (groups["train"] | groups["val"])
    assert {one.slice.name for one in part(loaded, {"alpha"}, "test")} == {
        f"{kind}{patient}.png" for kind in ("COVID", "NonCOVID") for patient in (7, 8, 9)
    }
    assert {one.slice.split for one in loaded if one.slice.source == "gamma"} == {"train"}
    made_of = {one.slice.patient for one in loaded if one.slice.source == "synthetic"}
    assert made_of
    assert made_of <= groups["train"]


def test_a_network_is_tested_on_no_patient_that_it_learned_from(loaded: Any) -> None:
    rows = {row.name: row for row in rows_of(loaded)}
    assert list(rows) == ["all", "without-alpha", "without-beta", "only-alpha", "only-beta"]
    assert set(rows["all"].sources) == {"alpha", "beta", "gamma", "synthetic"}
    assert set(rows["without-beta"].sources) == {"alpha", "gamma", "synthetic"}
    for row in rows.values():
        learned = learned_part(loaded, row.sources)
        known = {one.slice.group for one in learned} | {one.slice.patient for one in learned}
        tested = slices_to_test(loaded, row)
        assert set(tested) == {"alpha", "beta"}
        assert not known & {one.slice.group for members in tested.values() for one in members}
    assert len(slices_to_test(loaded, rows["only-alpha"])["beta"]) == 20
    assert len(slices_to_test(loaded, rows["all"])["beta"]) == 4
    assert [row.name for row in rows_of(loaded, ["only"])] == ["only-alpha", "only-beta"]


def test_slices_nearly_the_same_as_tested_ones_are_not_learned_from(loaded: Any) -> None:
    tested = part(loaded, {"alpha"}, "test")
    learned = part(loaded, {"beta"}, "train")
    copied = replace(learned[0], slice=replace(tested[0].slice, source="beta", patient="other", name="copy.png"))
    kept, left = without_twins_of([*learned, copied], tested[:1])
    assert "copy.png" not in [one.slice.name for one in kept]
    assert left == len(learned) + 1 - len(kept) >= 1


def test_the_matrix_has_every_network_on_every_source(made: tuple[Path, dict[str, Any]]) -> None:
    folder, record = made
    cells = {(cell["run"], cell["source"]): cell for cell in record["cells"]}
    assert len(cells) == 12
    assert json.loads((folder / "matrix.json").read_text()) == record
    assert [cells["only-alpha", one]["seen"] for one in ("alpha", "beta")] == [True, False]
    assert [cells["without-alpha", one]["seen"] for one in ("alpha", "beta")] == [False, True]
    # The lesions of `slice_picture` are bright: their share alone nearly separates COVID from normal.
    assert cells["segmentation", "beta"]["scores"]["AUROC"]["value"] > 0.9
    assert list(cells["segmentation", "beta"]["scores"]) == ["AUROC"]
    for (run, _), cell in cells.items():
        assert cell["patients"] == cell["slices"]
        if run != "segmentation":
            assert set(cell["scores"]) == set(SCORES)
            low, high = cell["scores"]["coverage"]["interval"]
            assert 0 <= low <= cell["scores"]["coverage"]["value"] <= high <= 1


def test_tables_and_picture_hold_the_same_numbers(made: tuple[Path, dict[str, Any]]) -> None:
    folder, record = made
    lines = list(csv.DictReader((folder / "matrix.csv").read_text().splitlines()))
    for line, cell in zip(lines, record["cells"], strict=True):
        assert float(line["AUROC"]) == cell["scores"]["AUROC"]["value"]
        assert line["patients"] == str(cell["patients"])
    text = (folder / "matrix.md").read_text()
    assert "| only alpha |" in text
    assert "| nothing: infected share of the lung |" in text
    unseen = next(cell for cell in record["cells"] if cell["run"] == "only-alpha" and not cell["seen"])
    assert f"**{shown(unseen['scores']['AUROC']['value'])}" in text
    drawn = cv2.imread(str(folder / "matrix.png"))
    assert drawn is not None
    assert min(drawn.shape[:2]) > 400
    assert drawn.std() > 10


def test_predictions_add_up_to_the_cells(made: tuple[Path, dict[str, Any]]) -> None:
    folder, record = made
    rows = list(csv.DictReader((folder / "runs" / "only-beta" / "predictions.csv").read_text().splitlines()))
    cell = next(one for one in record["cells"] if one["run"] == "only-beta" and one["source"] == "alpha")
    own = [row for row in rows if row["source"] == "alpha"]
    right = [(float(row["COVID"]) >= 0.5) == (row["label"] == "COVID") for row in own]
    assert np.mean(right) == pytest.approx(cell["scores"]["accuracy"]["value"], abs=1e-3)
    answered = [row["answered"] == "1" for row in own]
    assert np.mean(answered) == pytest.approx(cell["scores"]["coverage"]["value"], abs=1e-3)


def test_a_stopped_matrix_goes_on_and_keeps_finished_networks(
    made: tuple[Path, dict[str, Any]], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = made
    (folder / "runs" / "only-beta" / "result.json").unlink()
    trained = []

    def counted(row: Any, *rest: Any) -> None:
        trained.append(row.name)
        train_row(row, *rest)

    monkeypatch.setattr("groundglass.training.classification.matrix.train_row", counted)
    assert matrix(data, folder, CONFIG, segmenter=TwoEllipses()) == record  # type: ignore[arg-type]
    assert trained == ["only-beta"]
    with pytest.raises(OptionError, match="steps 2"):
        matrix(data, folder, replace(CONFIG, steps=3), segmenter=TwoEllipses())  # type: ignore[arg-type]


def test_data_without_two_classes_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"images\.csv"):
        load_sources(tmp_path, TwoEllipses())  # type: ignore[arg-type]
    (tmp_path / "gamma").symlink_to(data / "gamma")
    alone = load_sources(tmp_path, TwoEllipses())  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no source has slices of COVID and others"):
        rows_of(alone)


def test_the_card_takes_what_unseen_sources_showed(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, record = made
    entries = unseen_entries(folder / "matrix.json")
    assert [one.name for one in entries if one.name.endswith(", COVID AUROC")] == [
        "unseen source alpha, COVID AUROC",
        "unseen source beta, COVID AUROC",
    ]
    cell = next(one for one in record["cells"] if one["run"] == "without-alpha" and one["source"] == "alpha")
    assert entries[0].value == cell["scores"]["AUROC"]["value"]
    assert "recipe at 32 pixels that never saw" in entries[0].protocol
    assert "20 slices, 20 patients; 95 % by patient" in entries[0].protocol
    known = {**record, "cells": [one for one in record["cells"] if one["run"].startswith("only")]}
    (tmp_path / "only.json").write_text(json.dumps(known))
    with pytest.raises(DatasetError, match="without-ucsd"):
        unseen_entries(tmp_path / "only.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"other\.json does not hold the matrix"):
        unseen_entries(tmp_path / "other.json")


def test_without_new_runs_the_card_keeps_what_it_said(tmp_path: Path) -> None:
    shipped = [one for one in load_card(CLASSIFIER).metrics if one.name.startswith(PREFIX)]
    assert list(kept_entries(tmp_path)) == shipped
    own = replace(load_card(CLASSIFIER), metrics=(Metric("unseen source x, COVID AUROC", 0.7, "test", {}),))
    (tmp_path / "classifier.json").write_text(own.to_json())
    assert kept_entries(tmp_path) == own.metrics
    assert "AUROC of 0.70, where" in unseen_limit(own.metrics)
    assert unseen_limit(()) == "How it does on pictures of a source that it never saw was not measured."


def test_scores_that_are_not_defined_are_said_to_be(made: tuple[Path, dict[str, Any]]) -> None:
    cell = json.loads(json.dumps(made[1]["cells"][2]))
    cell["scores"]["AUROC"] = {"value": None, "interval": None}
    cell["patients"] = None
    assert "not defined" in markdown([cell])
    assert "patients are unknown" in markdown([cell])
    assert table([cell]).splitlines()[1].count(",,") >= 1
    assert run_title("without-ucsd") == "every source but UCSD"
