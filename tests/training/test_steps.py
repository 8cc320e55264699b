"""Steps of preparation and augmentation: image and labels move alike, and only what is declared changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from groundglass.image.prepare import Preprocessing
from groundglass.models.catalog import load_card
from groundglass.training import lung_network
from groundglass.training.clutter import add_blankets, add_gas, outside_body
from groundglass.training.labels import classical_lungs
from groundglass.training.lesions import paste_lesions
from groundglass.training.presets import load_preset
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.samples_picture import draw_samples
from groundglass.training.steps import pixels, preparation, spatial, synthetic
from groundglass.training.steps.lung_finding import classical_mask
from groundglass.training.steps.run import augment, prepare, to_grey
from tests.training.pictures import chest

SPATIAL = (
    spatial.Flip(),
    spatial.Flip(axis="vertical"),
    spatial.QuarterTurn(),
    spatial.Rotate(),
    spatial.Shift(),
    spatial.Scale(),
    spatial.Stretch(),
    spatial.Shear(),
    spatial.RandomLungCrop(crop_chance=0.5),
    spatial.Elastic(),
)
PIXELS = (pixels.Equalise(), pixels.Blur(), pixels.Gamma(), pixels.Contrast(), pixels.Noise(), pixels.Jpeg())


def marked(size: int = 96) -> Sample:
    """An asymmetric marker: a bright L, whose mask is the lung, on black."""
    image = np.zeros((size, size), np.uint8)
    image[20:70, 30:42] = 200
    image[58:70, 30:66] = 200
    masks = np.zeros((3, size, size), np.uint8)
    masks[LUNG] = image > 100
    return Sample("L", "L", "picture", image, masks, np.ones_like(masks))


def healthy(size: int = 96) -> Sample:
    hu, lung, _ = chest(size)
    masks = np.zeros((3, size, size), np.uint8)
    masks[LUNG] = lung
    return Sample("chest", "chest", "hu", hu, masks, np.ones_like(masks), healthy=True, belly=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(range(len(SPATIAL))), min_size=1))
def test_image_and_labels_move_alike(seed: int, chosen: set[int]) -> None:
    steps = [SPATIAL[index].model_copy(update={"chance": 1.0}) for index in sorted(chosen)]
    moved = augment(marked(), steps, 80, np.random.default_rng(seed))
    assert moved.image.shape == (80, 80)
    bright, mask = (plane.astype(np.uint8) for plane in (np.asarray(moved.image, int) > 100, moved.masks[LUNG] > 0))
    ring = np.ones((3, 3), np.uint8)
    # Up to the pixels of the edge, on which two interpolations may differ, and a few more at the tips of the L where
    # it was enlarged and bent. A shift by two pixels would be some twelve percent.
    apart = (bright & ~cv2.dilate(mask, ring) & 1) | (cv2.erode(mask, ring) & ~bright & 1)
    assert apart.sum() <= 0.02 * max(1, mask.sum())
    again = augment(marked(), steps, 80, np.random.default_rng(seed))
    np.testing.assert_array_equal(moved.image, again.image)


def test_a_flip_mirrors_and_a_quarter_turn_turns() -> None:
    rng = np.random.default_rng(0)
    flipped = augment(marked(), [spatial.Flip(chance=1.0)], 96, rng)
    np.testing.assert_array_equal(flipped.masks[LUNG], marked().masks[LUNG][:, ::-1])
    sources = (np.random.default_rng(seed) for seed in range(20))
    turns = {augment(marked(), [spatial.QuarterTurn()], 96, source).masks.tobytes() for source in sources}
    expected = {np.ascontiguousarray(np.rot90(marked().masks, k, axes=(1, 2))).tobytes() for k in range(4)}
    assert turns == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(PIXELS))
def test_grey_steps_leave_labels_and_size(seed: int, step: pixels.GreyStep) -> None:
    before = marked()
    after = step.apply(before, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.masks, before.masks)
    assert after.image.dtype == np.uint8
    assert after.image.shape == before.image.shape
    hu = healthy()
    assert step.apply(hu, np.random.default_rng(seed)) is hu


def test_no_step_leaves_a_slice_of_the_right_size_alone() -> None:
    sample = marked()
    assert augment(sample, [], 96, np.random.default_rng(0)) is sample
    never = [spatial.Rotate(chance=0.0), pixels.Noise(chance=0.0)]
    assert augment(sample, never, 96, np.random.default_rng(0)) is sample


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_window_jitter_always_ends_in_grey(seed: int) -> None:
    after = pixels.WindowJitter().apply(healthy(), np.random.default_rng(seed))
    assert after.kind == "picture"
    assert after.image.dtype == np.uint8
    assert after.image[healthy().masks[LUNG] > 0].mean() < after.image[40:56, 44:52].mean()


def test_what_lies_beyond_the_border_is_known_to_be_nothing() -> None:
    sample = marked()
    unknown = Sample("L", "L", "picture", sample.image, sample.masks, np.zeros_like(sample.known))
    small = augment(unknown, [spatial.Scale(factor=(0.5, 0.5))], 96, np.random.default_rng(0))
    assert small.known[0, 2, 2] == 1
    assert small.known[0, 48, 48] == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lesions_add_density_inside_the_lungs_alone(seed: int) -> None:
    hu, lung, _ = chest()
    out, infection, solid = paste_lesions(hu, lung, np.random.default_rng(seed))
    assert not (infection & ~lung).any()
    assert not (solid & ~infection).any()
    assert (out >= hu).all()
    np.testing.assert_array_equal(out[~lung], hu[~lung])
    assert infection.any()


def test_lesions_in_a_lung_of_unknown_health_are_known_only_around_themselves() -> None:
    sample = healthy()
    known = sample.known.copy()
    known[INFECTION] = known[CONSOLIDATION] = 1 - sample.masks[LUNG]
    unsure = Sample("x", "x", "hu", sample.image, sample.masks, known)
    seen = synthetic.Lesions().apply(unsure, np.random.default_rng(3))
    assert seen.masks[INFECTION].any()
    assert seen.known[INFECTION][seen.masks[INFECTION] == 1].all()
    assert (seen.known[INFECTION][seen.masks[LUNG] == 1] == 0).any()


def test_a_real_lesion_is_kept() -> None:
    hu, lung, lesion = chest()
    masks = np.stack([lung, lesion, lesion]).astype(np.uint8)
    sample = Sample("x", "x", "hu", hu, masks, np.ones_like(masks))
    assert synthetic.Lesions().apply(sample, np.random.default_rng(0)) is sample


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_gas_stays_away_from_the_lungs_and_blankets_outside_the_body(seed: int) -> None:
    hu, lung, _ = chest(128)
    rng = np.random.default_rng(seed)
    np.testing.assert_array_equal(add_gas(hu, lung, rng)[lung], hu[lung])
    draped = add_blankets(hu, rng)
    around = outside_body(hu)
    np.testing.assert_array_equal(draped[~around], hu[~around])
    assert (draped >= hu).all()


def volume(count: int = 12) -> list[Sample]:
    samples = []
    for index in range(count):
        one = healthy()
        masks = one.masks * (2 <= index < 10)
        samples.append(Sample(f"{index}", "v", "hu", one.image, masks, one.known))
    return samples


def test_preparation_drops_windows_crops_and_resizes_in_its_order() -> None:
    steps = (
        preparation.DropOuterSlices(share=0.25),
        preparation.DropEmptySlices(),
        preparation.HuWindow(),
        preparation.Clahe(),
        preparation.LungCrop(margin=0.0),
        preparation.Resize(size=64),
    )
    kept = prepare(volume(), steps)
    assert [sample.name for sample in kept] == ["3", "4", "5", "6", "7", "8"]
    assert all(sample.image.shape == (64, 64) and sample.image.dtype == np.uint8 for sample in kept)
    lung = kept[0].masks[LUNG]
    assert all(edge.any() for edge in (lung[0], lung[-1], lung[:, 0], lung[:, -1]))
    assert [sample.name for sample in prepare(volume(), [preparation.DropEmptySlices()])] == list("23456789")


@pytest.mark.parametrize("source", ["mask", "classical"])
def test_the_crop_holds_the_lungs_wherever_they_come_from(source: str) -> None:
    crop = preparation.LungCrop(lungs=source, per="volume", margin=0.02)
    for before, after in zip(volume(), crop.apply_volume(volume()), strict=True):
        assert after.masks[LUNG].sum() >= 0.97 * before.masks[LUNG].sum()
        assert after.image.size < 0.75 * before.image.size


def test_the_network_finds_lungs_to_crop_to(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = prepare(volume(4), [preparation.HuWindow()])[2]

    class Segmenter:
        card = load_card()

        def stream(self, slices: list[np.ndarray], *, kind: str) -> Iterator[np.ndarray]:
            assert kind == "picture"
            yield from (np.stack([sample.masks[LUNG] * 255] * 3) for _ in slices)

    monkeypatch.setattr(lung_network, "_segmenter", lambda source: {"network": Segmenter()}[source])
    (crop,) = preparation.LungCrop(lungs="network", margin=0.0).apply_volume([sample])
    (expected,) = preparation.LungCrop(lungs="mask", margin=0.0).apply_volume([sample])
    np.testing.assert_array_equal(crop.image, expected.image)


def test_outside_the_lungs_is_black_after_multiplying() -> None:
    sample = prepare(volume()[4:5], [preparation.HuWindow(), preparation.LungMultiply()])[0]
    assert (sample.image[sample.masks[LUNG] == 0] == 0).all()
    assert sample.image[sample.masks[LUNG] == 1].any()


@pytest.mark.parametrize("as_picture", [False, True])
def test_the_classical_lungs_of_a_slice(as_picture: bool) -> None:
    sample = healthy(160)
    if as_picture:
        sample = to_grey(sample, Preprocessing(hu_clip=0.0))
    found, truth = classical_mask(sample), sample.masks[LUNG]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.93


def test_the_classical_lungs_of_a_volume() -> None:
    hu, lung, _ = chest(128)
    hu[lung] = -850
    slices = np.stack([hu] * 20)
    slices[:, 60:68, 60:68] = -1000
    found, _ = classical_lungs(slices, (5.0, 2.5, 2.5))
    truth = np.stack([lung] * 20)
    assert (found & truth).sum() / truth.sum() > 0.95
    assert not found[:, 0].any()


@pytest.mark.parametrize("name", ["infection-unet", "lungs-infection"])
def test_every_step_of_a_preset_can_be_drawn(name: str, pictures: Path, tmp_path: Path) -> None:
    preset = load_preset(name)
    titles = draw_samples(preset, pictures, tmp_path / "samples.png", count=2)
    declared = [step.step for step in (*preset.preparation, *preset.augmentation)]
    assert titles == ["as stored", *declared, "to the network"]
    with Image.open(tmp_path / "samples.png") as picture:
        assert np.asarray(picture).std() > 20
