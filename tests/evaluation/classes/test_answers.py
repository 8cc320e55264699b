from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.evaluation.classes.answers import ShippedClassifier, collect_answers
from groundglass.models.catalog import CLASSIFIER, available
from groundglass.pipeline import analyze
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.records import LabelledSlice
from tests.support.labelled import CLASSES, GreyClassifier, labelled


@pytest.fixture(scope="module")
def shipped() -> ShippedClassifier:
    if CLASSIFIER not in available():
        pytest.skip("the package has no classifier")
    return ShippedClassifier()


def test_the_shipped_classifier_answers_as_analyze_does(shipped: ShippedClassifier, chest_pictures: Path) -> None:
    slices = read_data(chest_pictures)
    found, failed = collect_answers(slices, shipped)
    assert failed == []
    assert [one.slice.label for one in found] == ["COVID", "COVID", "NonCOVID", "NonCOVID"]
    for one in found:
        said = analyze(chest_pictures / one.slice.name, networks=shipped.networks).analysis.classification
        assert said is not None
        assert dict(zip(CLASSES, one.answer.probabilities.tolist(), strict=True)) == said.probabilities
        assert (one.answer.label, list(one.answer.reasons)) == (said.label, said.reasons)
    lesions = [float(one.answer.probabilities[2]) for one in found]
    assert max(lesions[:2]) < min(lesions[2:])


def test_pictures_are_decoded_as_analyze_does(shipped: ShippedClassifier, tmp_path: Path) -> None:
    values = np.linspace(1000, 5000, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    deep = shipped.read(labelled("deep", "COVID", path=tmp_path / "deep.png"))
    assert (deep.min(), deep.max()) == (0, 255)
    cv2.imwrite(str(tmp_path / "plain.bmp"), np.full((40, 40), 77, np.uint8))
    assert shipped.read(labelled("plain", "COVID", path=tmp_path / "plain.bmp")).max() == 77


def test_a_broken_picture_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    slices = [labelled(str(number), "COVID", grey=200) for number in range(20)]
    slices.insert(3, labelled("broken.png", "NonCOVID", path=tmp_path / "broken.png"))
    slices.insert(18, labelled("open", "Pneumonia"))
    found, failed = collect_answers(slices, GreyClassifier())
    assert [one.slice.name for one in found] == [str(number) for number in range(20)]
    assert [one.slice for one in failed] == ["broken.png", "open"]
    assert failed[0].error == "DatasetError"
    assert "leaves open whether this is COVID" in failed[1].message


def test_pictures_are_read_when_they_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a handful of pictures is alive, however long the list."""
    alive, most = 0, 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def image(one: LabelledSlice) -> np.ndarray:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return np.zeros((8, 8), np.uint8).view(Counted)

    monkeypatch.setattr(LabelledSlice, "image", property(image))
    found, _ = collect_answers([labelled(str(number), "COVID") for number in range(100)], GreyClassifier())
    assert len(found) == 100
    assert most <= 2 * 16
