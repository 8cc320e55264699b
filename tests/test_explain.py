from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.cli.main import main
from groundglass.errors import InvalidImageError, OptionError, OutputError
from groundglass.explain import explain, stages_picture
from groundglass.inference.engine import check_pictures
from groundglass.inference.scan import Networks
from groundglass.models.catalog import CLASSIFIER, available, load_card
from groundglass.pipeline import analyze
from groundglass.report.attention import GAP
from groundglass.report.evidence import FOOT, HEAD, MARGIN
from groundglass.result import PictureResult

pytestmark = pytest.mark.skipif(CLASSIFIER not in available(), reason="the package has no classifier")


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.load()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "slice.png"
    cv2.imwrite(str(path), check_pictures(256, 1)[0, 0])
    return path


def test_a_picture_is_explained_side_by_side(picture: Path, tmp_path: Path, networks: Networks) -> None:
    explanation = explain(picture, label="COVID", networks=networks)
    assert explanation.label == "COVID"
    folder = explanation.save(tmp_path / "out", stages=True)
    record = json.loads((folder / "explanation.json").read_text())
    assert record["classification"]["probabilities"].keys() == {"COVID", "OtherPneumonia", "Normal"}
    shown = cv2.imread(str(folder / "evidence-1.png"))
    assert shown is not None
    assert shown.shape == (HEAD + 384 + FOOT, 3 * 384 + 2 * GAP + 2 * MARGIN, 3)
    # The slice stands in its place, the scale runs from dark blue to red, and there is text above.
    grey = cv2.resize(np.asarray(cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)), (384, 384))
    left = shown[HEAD : HEAD + 384, MARGIN : MARGIN + 384, 0].astype(float)
    assert np.corrcoef(left.ravel(), grey.ravel())[0, 1] > 0.98
    row = shown[HEAD + 384 + 36, MARGIN + 384 + GAP : MARGIN + 2 * 384 + GAP].astype(int)
    assert row[0, 2] < 80
    assert row[-1, 2] > 100 > row[-1, 0]
    assert shown[:HEAD].max() > 200
    assert cv2.imread(str(folder / "stages-1.png")) is not None
    # Saved again it replaces itself, but never an analysis.
    assert explanation.save(tmp_path / "out") == folder
    assert not (folder / "stages-1.png").exists()
    (folder / "explanation.json").rename(folder / "analysis.json")
    with pytest.raises(OutputError, match="not a finished explanation"):
        explanation.save(tmp_path / "out")
    with pytest.raises(OptionError, match="no class 'flu'"):
        explain(picture, label="flu", networks=networks)


def test_analyze_classifies_each_picture(picture: Path, tmp_path: Path, networks: Networks) -> None:
    result = analyze(picture, networks=networks)
    assert isinstance(result, PictureResult)
    said = result.analysis.classification
    assert said is not None
    assert sum(said.probabilities.values()) == pytest.approx(1.0, abs=1e-3)
    assert said.abstained == (said.label is None) == bool(said.reasons)
    assert result.analysis.slices is not None
    assert result.analysis.slices[0].classification is not None
    assert result.analysis.slices[0].classification.probabilities == said.probabilities
    assert CLASSIFIER in [model.name for model in result.analysis.run.models]
    report = (result.save(tmp_path) / "report.html").read_text()
    assert "What the answer rests on" in report


def test_a_picture_that_is_no_chest_is_not_classified(tmp_path: Path, networks: Networks) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    said = analyze(tmp_path / "noise.png", networks=networks).analysis.classification
    assert said is not None
    assert said.abstained
    assert said.label is None


@pytest.mark.parametrize("name", ["camera", "horse", "logo", "text", "astronaut", "chelsea", "rocket", "coffee"])
def test_photographs_and_drawings_are_not_classified(name: str, tmp_path: Path, networks: Networks) -> None:
    skimage = pytest.importorskip("skimage")
    photograph = Path(skimage.__file__).parent / "data" / f"{name}.png"
    photograph = photograph if photograph.is_file() else photograph.with_suffix(".jpg")
    result = analyze(photograph, networks=networks)
    assert result.classification is not None
    assert result.classification.label is None
    assert result.classification.meaningless
    folder = result.save(tmp_path)
    assert not (folder / "attention.png").exists()
    report = (folder / "report.html").read_text()
    assert "The program abstains." in report
    assert "Calibrated probabilities" not in report


def test_a_drawing_is_analyzed_with_a_warning(tmp_path: Path, networks: Networks) -> None:
    skimage = pytest.importorskip("skimage")
    findings = analyze(Path(skimage.__file__).parent / "data" / "camera.png", networks=networks).findings
    assert "lungs-uncertain" in {finding.code for finding in findings}


def test_nothing_is_explained_where_there_is_no_lung(tmp_path: Path, networks: Networks) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((200, 200), np.uint8))
    with pytest.raises(InvalidImageError, match="black: no lungs were found"):
        explain(tmp_path / "black.png", networks=networks)


def test_command_line(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(picture), "-o", str(tmp_path / "out"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["case"] == "slice"
    assert main(["explain", str(tmp_path / "nothing.png")]) == 3
    # The classical lungs of the stages are those of `stages_picture` without any.
    options = ["--stages", "--lungs", "classical", "--quiet"]
    assert main(["explain", str(picture), "-o", str(tmp_path / "classical"), *options]) == 0
    drawn = cv2.imread(str(tmp_path / "classical" / "slice" / "stages-1.png"))
    expected = stages_picture(np.asarray(cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)))
    np.testing.assert_array_equal(drawn, expected)
    capsys.readouterr()
    options[2] = str(tmp_path / "no-run")
    assert main(["explain", str(picture), "-o", str(tmp_path / "out"), *options]) != 0
    assert "no-run" in capsys.readouterr().err
    assert not (tmp_path / "out" / "slice" / "stages-1.png").exists()


def test_five_stages_in_a_row() -> None:
    assert stages_picture(check_pictures(128, 1)[0, 0]).shape == (280, 5 * 256 + 4 * 8, 3)


def test_the_shipped_card_says_what_it_must() -> None:
    card = load_card(CLASSIFIER)
    assert card.classifier is not None
    assert card.channels == ("COVID", "OtherPneumonia", "Normal")
    assert 0.33 < card.classifier.least_probability < 1
    assert card.verify().stat().st_size < 10e6
    assert {"COVID AUROC", "COVID F1", "coverage"} <= {metric.name for metric in card.metrics}
    assert replace(card, metrics=()) != card
