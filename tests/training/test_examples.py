"""Samples, their random changes, pasted lesions and classical lung labels."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.training import augment, sources
from groundglass.training.clutter import add_blankets, add_gas, outside_body
from groundglass.training.data import BLANK, DataConfig, SliceStream, draw_example
from groundglass.training.labels import classical_lungs
from groundglass.training.lesions import paste_lesions
from groundglass.training.sources import CONSOLIDATION, INFECTION, LUNG, Sample

CONFIG = DataConfig(Path(), size=64)


def chest(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    hu = np.full((size, size), -1000, np.int16)
    hu[(x / 0.85) ** 2 + (y / 0.6) ** 2 < 1] = 40
    lung = np.zeros((size, size), bool)
    for side in (-0.4, 0.4):
        lung |= ((x - side) / 0.27) ** 2 + (y / 0.42) ** 2 < 1
    hu[lung] = -850
    return hu, lung


def healthy_sample() -> Sample:
    hu, lung = chest()
    masks = np.zeros((3, *hu.shape), np.uint8)
    masks[LUNG] = lung
    return Sample("chest", "chest", "hu", hu, masks, np.ones_like(masks), healthy=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_picture_and_masks_move_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, lung = chest()
    matrix = augment.draw_matrix((96, 96), 64, CONFIG.changes, rng, lung.astype(np.uint8))
    moved = augment.warp(np.where(lung, 200, 0), matrix, 64, 0.0) > 100
    mask = augment.warp_masks(lung.astype(np.uint8)[None], matrix, 64)[0].astype(bool)
    assert (moved != mask).mean() < 0.001
    assert abs(np.linalg.det(matrix[:, :2])) > 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lesions_add_density_inside_the_lungs_alone(seed: int) -> None:
    hu, lung = chest()
    out, infection, solid = paste_lesions(hu, lung, np.random.default_rng(seed))
    assert not (infection & ~lung).any()
    assert not (solid & ~infection).any()
    assert (out >= hu).all()
    np.testing.assert_array_equal(out[~lung], hu[~lung])
    assert infection.any()


def test_a_slice_without_lungs_stays_as_it_is() -> None:
    hu = np.full((64, 64), 40, np.int16)
    out, infection, _ = paste_lesions(hu, np.zeros((64, 64), bool), np.random.default_rng(0))
    assert out is hu
    assert not infection.any()


def test_lesions_in_a_lung_of_unknown_health_are_known_only_around_themselves() -> None:
    sample = healthy_sample()
    known = sample.known.copy()
    known[INFECTION] = known[CONSOLIDATION] = 1 - sample.masks[LUNG]
    unsure = Sample("x", "x", "hu", sample.image, sample.masks, known)
    config = DataConfig(Path(), size=96, lesion_chance=1.0)
    _, masks, seen = draw_example(unsure, config, np.random.default_rng(3))
    assert masks[INFECTION].any()
    assert (seen[INFECTION][masks[INFECTION] == 1] == 1).mean() > 0.95
    assert (seen[INFECTION][masks[LUNG] == 1] == 0).any()


def test_examples_follow_the_seed() -> None:
    samples = {"normal": [healthy_sample()]}
    config = DataConfig(Path(), size=64, weights={"normal": 0.8, BLANK: 0.2})
    first, second = (iter(SliceStream(config, samples, seed=4)) for _ in range(2))
    for _ in range(6):
        for ours, theirs in zip(next(first), next(second), strict=True):
            assert (ours == theirs).all()
            assert ours.shape[1:] == (64, 64)


def test_small_volumes_are_not_crowded_out() -> None:
    one, many = healthy_sample(), healthy_sample()
    group = [Sample(f"{i}", "many", many.kind, many.image, many.masks, many.known) for i in range(100)]
    stream = SliceStream(DataConfig(Path(), weights={"normal": 1.0}), {"normal": [one, *group]}, seed=0)
    np.testing.assert_allclose(sorted(stream.group_shares["normal"]), [1 / 11, 10 / 11])


def test_classical_lungs_of_a_simple_chest() -> None:
    hu, lung = chest(128)
    slices = np.stack([hu] * 20)
    slices[:, 60:68, 60:68] = -1000
    found, _ = classical_lungs(slices, (5.0, 2.5, 2.5))
    truth = np.stack([lung] * 20)
    assert (found & truth).sum() / truth.sum() > 0.97
    assert not found[:, 62:66, 62:66].any()
    assert not found[:, 0].any()


@pytest.mark.parametrize("name", ["medseg", "lung2d"])
def test_held_out_parts_share_nothing_with_the_training_set(shared_data: Path, name: str) -> None:
    groups = []
    for held_out in (True, False):
        if name == "medseg":
            samples = sources.medseg(shared_data, held_out=held_out, size=64)
        else:
            samples = sources.lung2d(shared_data, held_out=held_out)
        groups.append({sample.group for sample in samples})
    assert groups[0]
    assert groups[1]
    assert not groups[0] & groups[1]


def test_masks_of_real_slices_make_sense(shared_data: Path) -> None:
    for sample in list(sources.covid20(shared_data, (1,)))[::40]:
        assert not (sample.masks[INFECTION] & ~sample.masks[LUNG] & 1).any()
        assert (sample.known[CONSOLIDATION] == 1 - sample.masks[INFECTION]).all()
    for sample in list(sources.medseg(shared_data, held_out=True, size=64)):
        assert (sample.masks[CONSOLIDATION] <= sample.masks[INFECTION]).mean() > 0.99


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_gas_stays_away_from_the_lungs_and_blankets_outside_the_body(seed: int) -> None:
    hu, lung = chest(128)
    rng = np.random.default_rng(seed)
    gas = add_gas(hu, lung, rng)
    np.testing.assert_array_equal(gas[lung], hu[lung])
    assert (gas[hu < -900] < -850).all()
    draped = add_blankets(hu, rng)
    around = outside_body(hu)
    np.testing.assert_array_equal(draped[~around], hu[~around])
    assert (draped >= hu).all()
