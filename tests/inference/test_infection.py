from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.inference.infection import segment_infection, segment_infection_2d, subtype_method
from groundglass.volume import CTVolume, LabelMap
from tests.support.chest import Chest, lungs_of, volume_of


def scan() -> tuple[CTVolume, LabelMap, NDArray[np.uint8]]:
    """A chest with one ground-glass and one consolidated lesion, both marked in the probability."""
    volume, truth = Chest().build()
    probability = np.zeros(truth.shape, dtype=np.uint8, order="F")
    probability[90:100, 35:45, 35:45] = 200
    probability[28:38, 35:45, 35:45] = 200
    assert (truth[probability > 0] > 0).all()
    volume.values[90:100, 35:45, 35:45] = -600.0
    volume.values[28:38, 35:45, 35:45] = 20.0
    return volume, lungs_of(volume, truth), probability


def test_ground_glass_and_consolidation_by_hu() -> None:
    volume, lungs, probability = scan()
    labels = segment_infection(probability, None, volume, lungs).labels
    assert (labels[90:100, 35:45, 35:45] == 1).all()
    assert (labels[28:38, 35:45, 35:45] == 2).all()
    assert np.count_nonzero(labels) == 2000
    assert subtype_method(volume) == "hu-threshold"


def test_threshold_is_minus_200_and_noise_does_not_speckle() -> None:
    volume, lungs, probability = scan()
    random = np.random.default_rng(0)
    shape = (10, 10, 10)
    volume.values[90:100, 35:45, 35:45] = -330.0 + random.normal(0, 30.0, shape)
    volume.values[28:38, 35:45, 35:45] = -70.0 + random.normal(0, 30.0, shape)
    labels = segment_infection(probability, None, volume, lungs).labels
    assert np.count_nonzero(labels == 1) == 1000
    assert np.count_nonzero(labels == 2) == 1000


def test_chest_wall_does_not_brighten_a_lesion_at_its_edge() -> None:
    volume, lungs, _ = scan()
    truth = lungs.labels
    wall = int(np.argwhere(truth[:, 40, 40] == 1).max())
    edge = np.zeros(truth.shape, bool)
    edge[wall - 3 : wall + 1, 36:44, 36:44] = True
    edge &= truth == 1
    volume.values[edge] = -450.0
    labels = segment_infection(np.where(edge, np.uint8(255), np.uint8(0)), None, volume, lungs).labels
    assert set(np.unique(labels[edge])) == {1}


def test_infection_outside_the_lungs_is_dropped() -> None:
    volume, lungs, probability = scan()
    everywhere = np.full_like(probability, 255)
    labels = segment_infection(everywhere, None, volume, lungs).labels
    assert ((labels > 0) == (lungs.labels > 0)).all()


def test_specks_below_a_tenth_of_a_millilitre_are_removed() -> None:
    volume, lungs, probability = scan()
    probability[:] = 0
    probability[92, 40, 40] = 255  # 0.036 ml
    probability[92:95, 40, 44] = 255  # 0.108 ml
    labels = segment_infection(probability, None, volume, lungs).labels
    assert labels[92, 40, 40] == 0
    # A lesion of 3 voxels is below the least number of voxels.
    assert not labels.any()
    probability[92:95, 41, 44] = 255
    assert np.count_nonzero(segment_infection(probability, None, volume, lungs).labels) == 6


def test_specks_on_a_fine_grid() -> None:
    volume, truth = Chest(spacing=(0.8, 0.8, 3.0), size=(396.0, 288.0, 60.0)).build()
    probability = np.zeros(truth.shape, dtype=np.uint8, order="F")
    lesion, speck = np.s_[360:372, 150:162, 8:12], np.s_[330:334, 150:154, 8:10]
    assert (truth[lesion] == 1).all()
    probability[lesion], probability[speck] = 255, 255  # 1.1 ml and 0.06 ml
    labels = segment_infection(probability, None, volume, lungs_of(volume, truth)).labels
    assert (labels[lesion] > 0).all()
    assert np.count_nonzero(labels) == 12 * 12 * 4


def test_grey_volume_takes_the_networks_word() -> None:
    volume, lungs, probability = scan()
    grey = replace(volume, units="grey")
    consolidation = np.zeros_like(probability)
    consolidation[28:38, 35:45, 40:45] = 200
    labels = segment_infection(probability, consolidation, grey, lungs).labels
    assert np.count_nonzero(labels == 2) == 500
    assert (labels[28:38, 35:45, 40:45] == 2).all()
    assert subtype_method(grey) == "network"


def test_grey_volume_without_a_consolidation_channel() -> None:
    volume, lungs, probability = scan()
    grey = replace(volume, units="grey")
    labels = segment_infection(probability, None, grey, lungs).labels
    assert set(np.unique(labels)) == {0, 1}
    assert subtype_method(grey, by_network=False) is None


def test_threshold_and_empty_result() -> None:
    volume, lungs, probability = scan()
    assert not segment_infection(probability, None, volume, lungs, threshold=0.9).labels.any()
    assert segment_infection(probability, None, volume, lungs, threshold=0.7).labels.any()


def test_grids_must_match() -> None:
    volume, lungs, probability = scan()
    with pytest.raises(InvalidImageError, match="infection probability"):
        segment_infection(probability[1:], None, volume, lungs)
    with pytest.raises(InvalidImageError, match="consolidation probability"):
        segment_infection(probability, probability[1:], volume, lungs)
    other = volume_of(volume.values, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(GeometryMismatchError):
        segment_infection(probability, None, volume, lungs_of(other, lungs.labels))


def test_picture() -> None:
    lungs = np.zeros((300, 400), np.uint8)
    lungs[50:250, 40:180], lungs[50:250, 220:360] = 1, 2
    probability = np.zeros_like(lungs)
    probability[100:140, 20:80] = 200
    probability[200:202, 300:302] = 200
    consolidation = np.zeros_like(lungs)
    consolidation[100:120] = 255
    labels = segment_infection_2d(probability, consolidation, lungs, 0.5)
    assert np.count_nonzero(labels == 2) == 20 * 40
    assert np.count_nonzero(labels == 1) == 20 * 40
    assert not labels[:, :40].any()
    assert set(np.unique(segment_infection_2d(probability, None, lungs))) == {0, 1}
    with pytest.raises(InvalidImageError, match="same"):
        segment_infection_2d(probability[1:], None, lungs)
