from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import pytest

from groundglass.errors import InputError
from groundglass.evaluation.classes.records import ClassifierEvaluation
from groundglass.evaluation.classes.run import ClassesOptions, evaluate_classes
from groundglass.training.classification.records import LabelledSlice
from tests.support.labelled import OPTIONS, GreyClassifier, labelled


def made() -> list[LabelledSlice]:
    """Four patients; one slice without an answer, one wrong."""
    greys = {"COVID": (250, 200, 130, 60), "NonCOVID": (10, 20, 30), "Normal": (5,)}
    return [
        labelled(f"{label}/{grey}.png", label, patient=f"{label}{number % 2}", grey=grey)
        for label, shown in greys.items()
        for number, grey in enumerate(shown)
    ]


def test_every_file_is_left(tmp_path: Path) -> None:
    record = evaluate_classes(made(), GreyClassifier(), tmp_path / "out", OPTIONS)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {"confusion.png", "roc.png", "calibration.png"}
    assert names == figures | {"predictions.csv", "evaluation.html", "evaluation.json"}
    for name in figures:
        assert cv2.imread(str(tmp_path / "out" / name)) is not None
    assert ClassifierEvaluation.model_validate_json((tmp_path / "out" / "evaluation.json").read_text()) == record
    assert record.data.labels == {"COVID": 4, "NonCOVID": 3, "Normal": 1}
    assert record.coverage.value == pytest.approx(7 / 8)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as handle:
        rows = {row["name"]: row for row in csv.DictReader(handle)}
    assert list(rows["COVID/250.png"]) == [
        *("source", "name", "patient", "label", "COVID", "OtherPneumonia", "Normal"),
        *("answer", "abstained", "reasons", "right"),
    ]
    told = {name: (row["answer"], row["abstained"], row["reasons"], row["right"]) for name, row in rows.items()}
    assert told["COVID/250.png"] == ("COVID", "0", "", "1")
    assert told["COVID/60.png"] == ("Normal", "0", "", "0")
    assert told["COVID/130.png"] == ("", "1", "neither bright nor dark", "")
    assert told["NonCOVID/10.png"] == ("Normal", "0", "", "1")


def test_the_page_needs_nothing_else_and_says_what_it_must(tmp_path: Path) -> None:
    options = ClassesOptions("<made>", "val", warnings=("LEAK: learned from",))
    slices = [*made(), labelled("gone", "COVID", path=tmp_path / "gone.png")]
    record = evaluate_classes(slices, GreyClassifier(), tmp_path, options)
    page = (tmp_path / "evaluation.html").read_text()
    for outside in ('src="http', 'href="http', "@import", "<script", "<made>"):
        assert outside not in page
    assert page.count("<svg ") == 3
    assert len(ids := re.findall(r'\sid="([^"]+)"', page)) == len(set(ids))
    assert "Not a medical device" in page
    assert 'class="caution severe">LEAK' in page
    assert "gone.png cannot be read" in page
    assert "1 slices could not be scored" in record.warnings[-1]
    assert "bootstrap over patients, each with all of their slices" in page


def test_one_class_has_scores_and_no_curves(tmp_path: Path) -> None:
    record = evaluate_classes(made()[:4], GreyClassifier(), tmp_path, OPTIONS)
    assert record.covid.of("AUROC").value is None
    assert record.covid.of("sensitivity").value == 0.75
    assert "Every slice is labelled COVID" in record.warnings[0]
    assert not (tmp_path / "roc.png").exists()
    assert (tmp_path / "evaluation.html").read_text().count("<svg ") == 2


def test_nothing_that_can_be_scored_is_an_error(tmp_path: Path) -> None:
    slices = [labelled("gone", "COVID", path=tmp_path / "gone.png")]
    with pytest.raises(InputError, match=r"not one slice of made could be scored; the first error: .*gone\.png"):
        evaluate_classes(slices, GreyClassifier(), tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
