"""Analyses with a network of one's own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

import groundglass as gg
from groundglass.errors import OptionError, UnknownModelError, UnusableModelError
from groundglass.export.case import load_case
from groundglass.inference.scan import Networks
from groundglass.models.catalog import CLASSIFIER, InvolvementBand, load_card
from groundglass.models.place import card_at
from groundglass.result import AnalysisResult, PictureResult
from tests.support.network import PLAIN, bright_network, part_of_shipped, with_card
from tests.support.thorax import small_chest, thorax_file


def scan(**arguments: object) -> AnalysisResult:
    # In f32, so that the shipped network, which has 8-bit weights too, can be compared bit by bit.
    settings = replace(gg.Settings.from_environment(), precision="f32")
    result = gg.analyze(small_chest().volume, settings=settings, **arguments)  # type: ignore[arg-type]
    assert isinstance(result, AnalysisResult)
    return result


@pytest.fixture(scope="module")
def shipped() -> AnalysisResult:
    return scan()


def gave(result: AnalysisResult | PictureResult) -> dict[str, list[str]]:
    return {model.name: model.gave for model in result.analysis.run.models if model.name != CLASSIFIER}


@pytest.mark.parametrize(
    ("channels", "parts"),
    [
        (["infection"], {"lungs-infection": ["lung"], "own": ["infection"]}),
        (["lung"], {"own": ["lung"], "lungs-infection": ["infection", "consolidation"]}),
        (["infection", "lung"], {"own": ["lung", "infection"]}),
    ],
)
def test_parts_of_the_shipped_network_give_its_result(
    channels: list[str], parts: dict[str, list[str]], shipped: AnalysisResult, tmp_path: Path
) -> None:
    path = part_of_shipped(tmp_path, channels)
    result = scan(model=path)
    assert np.array_equal(result.lungs.labels, shipped.lungs.labels)
    assert np.array_equal(result.infection.labels, shipped.infection.labels)
    assert gave(result) == parts
    checksums = {model.name: model.sha256 for model in result.analysis.run.models}
    assert checksums["own"] == card_at(path).sha256
    assert "of my own data" in result.licence


def test_the_interval_is_that_of_the_own_card(tmp_path: Path) -> None:
    band = InvolvementBand(0.9, 0.3, 0.7, 0.5, 0.1, 2.0, 20, 0.9, "made up")
    found = []
    for factor in (2.0, 4.0):
        card_of = replace(band, factor=factor)
        path = part_of_shipped(tmp_path, ["lung", "infection"], involvement_interval=card_of, name=f"own-{factor}")
        found.append(scan(model=path).measurements.involvement_interval_percent)
    narrow, wide = found
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_there_is_no_interval_where_two_networks_work_together(tmp_path: Path) -> None:
    """It was fitted on one network for both."""
    band = InvolvementBand(0.9, 0.3, 0.7, 0.5, 0.1, 2.0, 20, 0.9, "made up")
    result = scan(model=part_of_shipped(tmp_path, ["infection"], involvement_interval=band))
    assert result.measurements.involvement_interval_percent is None


def test_threshold_and_windows_are_those_of_the_own_card(shipped: AnalysisResult, tmp_path: Path) -> None:
    """A network that marks grey of 100 and more, shown -1000..0 HU as 0..255: HU of -606 and more."""
    path = with_card(tmp_path, bright_network(256, level=100), ["infection"], preprocessing=replace(PLAIN, size=256))
    result = scan(model=path)
    volume, lungs = result.volume, result.lungs.labels > 0
    assert np.array_equal(result.lungs.labels, shipped.lungs.labels)
    bright = lungs & (volume.values > -500)
    dark = lungs & (volume.values < -800)
    found = result.infection.labels > 0
    assert np.count_nonzero(found & bright) > 0.8 * np.count_nonzero(bright)
    assert np.count_nonzero(found & dark) < 0.05 * np.count_nonzero(dark)


@pytest.mark.parametrize("frame", ["slice", "volume"])
def test_a_network_of_cropped_slices_is_shown_such_slices(frame: Literal["slice", "volume"], tmp_path: Path) -> None:
    recipe = replace(PLAIN, size=256, lung_frame=frame, lungs_alone=True)
    path = with_card(tmp_path, bright_network(256, level=100), ["infection"], preprocessing=recipe)
    result = scan(model=path)
    assert gave(result) == {"lungs-infection": ["lung"], "own": ["infection"]}
    bright = (result.lungs.labels > 0) & (result.volume.values > -500)
    found = result.infection.labels > 0
    # A crop that came back to the wrong place would miss.
    assert np.count_nonzero(found & bright) > 0.6 * np.count_nonzero(bright)
    assert np.count_nonzero(found & (result.volume.values < -800)) < 0.1 * np.count_nonzero(found)


def test_pictures_without_a_consolidation_channel(tmp_path: Path) -> None:
    volume = small_chest().volume
    grey = np.clip((volume.axial(30) + 1250) / 1500 * 255, 0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "slice.png"), grey)
    network = part_of_shipped(tmp_path / "net", ["infection"])
    settings = replace(gg.Settings.from_environment(), precision="f32")
    result, usual = (gg.analyze(tmp_path / "slice.png", model=model, settings=settings) for model in (network, None))
    assert isinstance(result, PictureResult)
    assert isinstance(usual, PictureResult)
    assert np.array_equal(result.lungs[0], usual.lungs[0])
    assert np.array_equal(result.infection[0] > 0, usual.infection[0] > 0)
    assert result.infection[0].max() <= 1
    assert result.measurements.subtype_method is None
    assert usual.measurements.subtype_method == "network"


def test_the_saved_case_names_the_network_and_its_terms(tmp_path: Path) -> None:
    # The preset's own name is that of the shipped network: they are told apart by their weights.
    path = part_of_shipped(tmp_path / "net", ["lung", "infection"], name="lungs-infection")
    with gg.Analyzer(model=path) as analyzer:
        folder = analyzer.analyze(thorax_file(tmp_path)).save(tmp_path / "out")
    case = load_case(folder)
    card = load_card()
    assert case.analysis.run.models[0].sha256 != card.sha256
    assert case.analysis.run.options["model"] == path.name  # not where it lies
    assert card.licence not in case.licence
    assert str(tmp_path) not in (folder / "analysis.json").read_text()
    assert case.analysis.run.models[0].sha256 in (folder / "report.html").read_text()


def test_contradictions_and_missing_networks(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="both a model and loaded networks"):
        scan(model="lungs-infection", networks=Networks.load())
    with pytest.raises(UnknownModelError, match="nothing is at that path"):
        gg.Analyzer(model=tmp_path / "nothing").load()
    with pytest.raises(UnusableModelError, match="classifier"):
        scan(model=CLASSIFIER)


def test_no_training_library_is_needed(tmp_path: Path) -> None:
    path = part_of_shipped(tmp_path, ["lung", "infection"])
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'pytorch_lightning')));"
        "from groundglass.inference.scan import Networks; from groundglass.options import AnalysisOptions;"
        "print(Networks.load(AnalysisOptions(model=sys.argv[1])).segmenter.card.name)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert run.stdout == "own\n", run.stderr
