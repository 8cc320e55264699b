from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from groundglass.image.lung_view import as_grey
from groundglass.inference.classify import SliceClassifier
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import CLASSIFIER, load_card
from groundglass.pipeline import analyze
from groundglass.training.classification import release as module
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.release import answers_of, release
from groundglass.training.classification.shipped import ShippedConfig, train_classifier
from groundglass.training.classification.shipped_data import prepare
from groundglass.training.classification.unseen import PREFIX
from tests.training.classification.test_shipped import prepared
from tests.training.pictures import chest


def matrix_file(folder: Path) -> Path:
    scores = {name: {"value": 0.7, "interval": [0.6, 0.8]} for name in ("AUROC", "AUROC of those answered")}
    scores["coverage"] = {"value": 0.5, "interval": [0.4, 0.6]}
    cell = {"source": "ucsd", "title": "UCSD", "seen": False, "slices": 9, "patients": 5, "scores": scores}
    cells = [{**cell, "run": run} for run in ("without-ucsd", "only-three_class", "all")]
    cells[2] = {**cells[2], "source": "ct_volumes", "title": "COVID-CT-MD samples", "patients": None}
    path = folder / "matrix.json"
    path.write_text(json.dumps({"settings": {"network": "lesions", "size": 64, "steps": 2}, "cells": cells}))
    return path


def test_a_release_takes_unseen_sources_from_the_matrix_or_keeps_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(module, "scan_metrics", lambda *_: [])
    monkeypatch.setattr(module, "SliceSegmenter", lambda **_: None)
    slices = prepared()
    train_classifier(slices, ShippedConfig(size=64), tmp_path / "run")
    card = release(tmp_path / "run", tmp_path, tmp_path / "to", unseen=matrix_file(tmp_path), prepared=slices)
    told = {one.name: one for one in card.metrics}
    assert [name for name in told if name.startswith(PREFIX)] == [
        "unseen source UCSD, COVID AUROC",
        "unseen source UCSD, coverage",
        "unseen source UCSD, COVID AUROC of those answered",
        "unseen source COVID-CT-MD samples, COVID AUROC",
        "unseen source COVID-CT-MD samples, coverage",
        "unseen source COVID-CT-MD samples, COVID AUROC of those answered",
    ]
    coverage = told["unseen source COVID-CT-MD samples, coverage"]
    assert coverage.value == 0.5
    assert coverage.protocol.endswith("9 slices, patients unknown; 95 % by slice 0.400 to 0.600")
    assert any("AUROC of 0.70, where 0.5 is chance" in one for one in card.limits)
    assert load_card(CLASSIFIER, tmp_path / "to").verify().is_file()
    assert [one[:4] for one in card.trained_on] == ["UCSD", "Enco"]
    assert "COVID AUROC of those answered" in told
    # A second release without the matrix loses nothing.
    again = release(tmp_path / "run", tmp_path, tmp_path / "to", prepared=slices)
    assert [one for one in again.metrics if one.name.startswith(PREFIX)] == [
        one for one in card.metrics if one.name.startswith(PREFIX)
    ]
    assert again.limits == card.limits


def test_a_release_is_measured_on_what_analyze_sees(tmp_path: Path) -> None:
    grey = as_grey(chest(600)[0][60:560])
    cv2.imwrite(str(tmp_path / "slice.png"), grey)
    said = analyze(tmp_path / "slice.png").analysis.classification
    classifier = SliceClassifier()
    slices = prepare([LabelledSlice("slice", "made", None, "COVID", "", grey)], SliceSegmenter())
    (answer,) = answers_of(classifier, slices)
    assert said is not None
    np.testing.assert_allclose(list(said.probabilities.values()), classifier.probabilities(answer), atol=1e-3)
