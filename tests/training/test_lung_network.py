"""The lungs of a preparation or an image stage, found by a network of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import numpy as np

from groundglass.errors import UnknownModelError, UnusableModelError
from groundglass.image.prepare import Preprocessing, resize
from groundglass.image.stages import at_stage
from groundglass.training.classification.examples import make_examples
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.study import load_grid, runs_of
from groundglass.training.lung_network import lung_card, lung_probabilities
from groundglass.training.sample import Sample
from groundglass.training.steps.preparation import LungCrop, LungMultiply
from tests.support.network import PLAIN, bright_network, with_card


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run whose network takes for lung what is at least 100."""
    with_card(tmp_path / "run" / "model", bright_network(), ["lung"], preprocessing=PLAIN)
    return tmp_path / "run"


def marked() -> np.ndarray:
    """An asymmetric marker, 128 rows and 64 columns."""
    image = np.full((128, 64), 30, np.uint8)
    image[32:96, 8:24] = 200
    return image


def test_each_slice_gets_lungs_of_its_own_size(run: Path) -> None:
    images = [marked(), marked()[:64]]
    found = lung_probabilities(images, kind="picture", source=str(run))
    assert [lungs.shape for lungs in found] == [(128, 64), (64, 64)]
    for lungs, image in zip(found, images, strict=True):
        assert ((lungs > 127) == (image > 100)).mean() > 0.97


def test_preparation_crops_to_and_masks_with_them(run: Path) -> None:
    image = marked()
    nothing = np.zeros((3, *image.shape), np.uint8)
    sample = Sample("a", "a", "picture", image, nothing, nothing)
    (cropped,) = LungCrop(lungs=str(run), margin=0.0).apply_volume([sample])
    assert abs(cropped.image.shape[0] - 64) <= 2
    assert abs(cropped.image.shape[1] - 16) <= 2
    assert (np.asarray(cropped.image, np.uint8) > 100).mean() > 0.9
    (alone,) = LungMultiply(lungs=str(run)).apply_volume([sample])
    assert alone.image[64, 16] == 200
    assert alone.image[5, 60] == 0


def test_a_classifier_learns_from_stages_with_them(run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data" / "COVID"
    data.mkdir(parents=True)
    cv2.imwrite(str(data / "a.png"), marked())
    preset = load_classifier("threeclass-simple")
    preset = preset.model_copy(update={"stage": "lungs-masked", "lungs": str(run), "size": 32})
    (picture,) = make_examples(read_data(tmp_path / "data"), preset).images
    (lungs,) = lung_probabilities([marked()], kind="picture", source=str(run))
    alone = at_stage(marked(), "lungs-masked", lungs)
    assert alone.shape[0] < 100
    np.testing.assert_array_equal(picture, resize(alone, 32, 32))
    assert picture[16, 16] == 200


def test_a_study_names_it_by_its_place_beside_the_grid(run: Path, tmp_path: Path) -> None:
    lines = ['data = "slices"', 'models = ["threeclass-simple"]', f'lungs = "{run.name}"']
    (tmp_path / "grid.toml").write_text("\n".join(lines))
    assert {preset.lungs for preset, *_ in runs_of(load_grid(tmp_path / "grid.toml"))} == {str(run)}
    (tmp_path / "grid.toml").write_text("\n".join([*lines[:2], 'lungs = "classical"']))
    assert load_grid(tmp_path / "grid.toml").lungs == "classical"


def test_what_cannot_find_lungs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r'"netwrk" of the preset is neither "network" nor "classical".*netwrk'):
        lung_card("netwrk")
    infection = with_card(tmp_path / "i", bright_network(), ["infection"], preprocessing=PLAIN)
    with pytest.raises(UnusableModelError, match="finds infection in whole slices; expected one that finds 'lung'"):
        lung_card(str(infection))
    framed = Preprocessing(size=64, lung_frame="slice")
    cropped = with_card(tmp_path / "c", bright_network(), ["lung"], preprocessing=framed)
    with pytest.raises(UnusableModelError, match="in slices cropped to the lungs"):
        lung_card(str(cropped))
    assert lung_card("network").shipped
