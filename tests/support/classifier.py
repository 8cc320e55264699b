"""A small untrained classifier as the package ships one, and slices to show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from groundglass.image.prepare import Preprocessing
from groundglass.inference.classify import SliceInput
from groundglass.inference.engine import check_pictures
from groundglass.models.catalog import ClassifierTerms, ModelCard
from groundglass.training.classification.export import Familiar, export_classifier
from groundglass.training.classification.nets.lite import FEATURES, LiteClassifier
from groundglass.training.classification.records import CLASSES

SIZE = 96


def untrained() -> LiteClassifier:
    torch.manual_seed(3)
    network = LiteClassifier(pretrained=False)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    return network.eval()


def draft(terms: ClassifierTerms | None = None) -> ModelCard:
    return ModelCard(
        name="classifier",
        task="test",
        architecture="test",
        file="classifier.onnx",
        sha256="",
        date="2026-01-01",
        channels=CLASSES,
        thresholds=(0.5, 0.5, 0.5),
        preprocessing=Preprocessing(size=SIZE),
        trained_on=(),
        not_trained_on=(),
        licence="test",
        metrics=(),
        limits=(),
        classifier=terms or ClassifierTerms(1.5, 0.0, 1e9, 0.03, 1.0),
    )


def exported(folder: Path, network: LiteClassifier | None = None) -> ModelCard:
    rng = np.random.default_rng(0)
    familiar = Familiar.fit(rng.standard_normal((400, FEATURES), dtype=np.float32))
    card = export_classifier(network or untrained(), familiar, draft(), folder)
    (folder / "classifier.json").write_text(card.to_json())
    return card


def chest_slice(size: int = 160, infected: int = 120) -> SliceInput:
    """A body with two lungs, one with a lesion."""
    picture = check_pictures(size, 1)[0, 0]
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    lung = np.zeros((size, size), np.uint8)
    for side in (-0.4, 0.4):
        lung[((x - side) / 0.28) ** 2 + (y / 0.48) ** 2 < 1] = 255
    infection = np.where(((x - 0.45) / 0.12) ** 2 + ((y - 0.25) / 0.12) ** 2 < 1, infected, 0).astype(np.uint8)
    return SliceInput(picture, lung, infection)
