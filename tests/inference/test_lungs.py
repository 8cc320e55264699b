from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.errors import InvalidImageError
from groundglass.evaluation.metrics import dice
from groundglass.inference.lungs import segment_lungs
from groundglass.inference.working_grid import WorkingGrid
from groundglass.volume import CTVolume
from tests.support.chest import AIR, TISSUE, Chest, volume_of

Labels = NDArray[np.uint8]


def probability_of(mask: NDArray[np.generic], certain: int = 240) -> Labels:
    """A network that is sure, in the memory order of the real one."""
    return np.asarray((mask != 0) * certain, dtype=np.uint8, order="F")


def agreement(found: Labels, truth: Labels) -> tuple[float, float]:
    return dice(found == 1, truth == 1), dice(found == 2, truth == 2)


def as_grey(volume: CTVolume) -> CTVolume:
    grey = np.clip((volume.values + 1250.0) * (255.0 / 1500.0), 0.0, 255.0)
    return replace(volume, values=np.asarray(grey, dtype=np.float32, order="F"), units="grey")


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 4.0), (1.5, 1.5, 8.0), (4.0, 3.0, 2.0), (0.9, 0.9, 10.0)])
def test_both_lungs_on_the_right_sides(spacing: tuple[float, float, float]) -> None:
    volume, truth = Chest(spacing=spacing).build()
    found = segment_lungs(probability_of(truth), volume).labels
    assert min(agreement(found, truth)) > 0.99
    right = np.argwhere(found == 1).mean(axis=0)
    left = np.argwhere(found == 2).mean(axis=0)
    assert right[0] > left[0]


@pytest.mark.parametrize("convert", [lambda volume: volume, as_grey])
def test_touching_lungs_are_cut_apart(convert: Callable[[CTVolume], CTVolume]) -> None:
    volume, truth = Chest(gap=0.0).build()
    # Close the mediastinum in front, so that both lungs are one piece over many slices.
    x, y = truth.shape[0] // 2, truth.shape[1] // 2
    bridge = np.zeros_like(truth)
    bridge[x - 12 : x + 12, y + 6 : y + 12, 42:60] = 1
    both = (truth > 0) | (bridge > 0)
    found = segment_lungs(probability_of(both), convert(volume)).labels
    assert min(agreement(np.where(bridge, 0, found), np.where(bridge, 0, truth))) > 0.97
    assert np.count_nonzero(found) >= 0.999 * np.count_nonzero(both)


def test_a_thin_junction_line_guides_the_cut() -> None:
    volume, truth = Chest().build()
    x, y = truth.shape[0] // 2, truth.shape[1] // 2
    probability = probability_of(truth)
    # Lung crosses the middle to the patient's left in front; the line between the lungs is faint.
    probability[x - 20 : x + 12, y + 4 : y + 14, 42:60] = 230
    probability[x - 15, y + 4 : y + 14, 42:60] = 140
    found = segment_lungs(probability, as_grey(volume)).labels
    middle = found[:, y + 9, 50]
    assert set(middle[x - 13 : x + 10]) == {1}
    assert set(middle[x - 20 : x - 16]) == {2}


def test_trachea_and_bowel_gas_are_left_out() -> None:
    chest = Chest()
    volume, truth = chest.build()
    trachea = chest.parts["trachea"]
    bowel = np.zeros(truth.shape, bool)
    bowel[70:84, 55:70, 3:9] = True
    volume.values[bowel] = AIR
    found = segment_lungs(probability_of((truth > 0) | trachea | bowel), volume).labels
    assert not found[bowel].any()
    assert np.count_nonzero(found[trachea]) < 0.02 * np.count_nonzero(trachea)
    assert min(agreement(found, truth)) > 0.98


def test_gas_in_the_oesophagus_is_left_out() -> None:
    chest = Chest()
    volume, truth = chest.build()
    gas = np.zeros(truth.shape, bool)
    gas[60:64, 28:31, 50:70] = True
    assert not truth[gas].any()
    volume.values[gas] = AIR
    probability = probability_of((truth > 0) | gas)
    probability[55:62, 27:31, 55:57] = 255  # the network joins it to the lung
    found = segment_lungs(probability, volume).labels
    assert np.count_nonzero(found[gas]) < 0.1 * np.count_nonzero(gas)


def test_emphysema_behind_the_trachea_stays_lung() -> None:
    chest = Chest()
    volume, truth = chest.build()
    # An inflated lung reaches behind the trachea; a dark spot of it lies where gas in the oesophagus would be.
    truth[64:90, 22:34, 46:74] = 1
    volume.values[truth == 1] = -880.0
    bulla = np.zeros(truth.shape, bool)
    bulla[65:71, 26:32, 50:70] = True
    volume.values[bulla] = -960.0
    found = segment_lungs(probability_of(truth > 0), volume).labels
    assert np.count_nonzero(found[bulla]) > 0.99 * np.count_nonzero(bulla)


def test_even_fat_beside_the_lung_is_no_lung() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    wall = int(np.argwhere(truth[:, 70, 40] == 1).max())
    pad = np.zeros(truth.shape, dtype=bool)
    pad[wall - 4 : wall + 9, 60:80, 36:44] = True
    pad &= truth == 0
    volume.values[pad] = -95.0 + np.random.default_rng(0).normal(0.0, 15.0, np.count_nonzero(pad))
    found = segment_lungs(probability_of((truth > 0) | pad), volume).labels
    grey = segment_lungs(probability_of((truth > 0) | pad), as_grey(volume)).labels
    assert np.count_nonzero(found[pad]) < 0.2 * np.count_nonzero(pad)
    assert np.count_nonzero(grey[pad]) > 0.9 * np.count_nonzero(pad)
    assert min(agreement(found, truth)) > 0.99


def test_organs_without_air_are_no_lung() -> None:
    volume, truth = Chest().build()
    probability = probability_of(truth)
    lowest = int(np.flatnonzero(truth.any(axis=(0, 1)))[0])
    probability[30:60, 30:60, lowest - 6 : lowest + 2] = 255
    found = segment_lungs(probability, volume).labels
    assert not found[:, :, : lowest - 1].any()
    assert min(agreement(found, truth)) > 0.97
    organs = np.zeros(truth.shape, np.uint8)
    organs[30:60, 30:60, 2:7] = 255
    assert not segment_lungs(organs, volume).labels.any()


def test_a_blanket_at_the_side_is_no_lung() -> None:
    volume, truth = Chest().build()
    blanket = np.zeros(truth.shape, bool)
    blanket[-14:, :18, 40:60] = True
    volume.values[blanket] = -850.0
    found = segment_lungs(probability_of((truth > 0) | blanket), volume).labels
    assert not found[blanket].any()
    assert min(agreement(found, truth)) > 0.99


def test_a_separate_solid_piece_in_a_slice_with_lung_is_dropped() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    probability = probability_of(truth)
    bowel = np.zeros(truth.shape, bool)
    bowel[92:104, 100:110, 18:26] = True
    bowel[98, 86:101, 22] = True  # one slice ties it to the lung
    bowel &= truth == 0
    probability[bowel] = 255
    found = segment_lungs(probability, volume).labels
    assert np.count_nonzero(found[bowel]) < 0.2 * np.count_nonzero(bowel)
    assert min(agreement(found, truth)) > 0.99


def test_aerated_lung_that_the_network_missed_is_added() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    probability = probability_of(truth)
    wall = int(np.argwhere(truth[:, 70, 40] == 1).max())
    probability[wall - 4 :, :, 30:50] = 0
    found = segment_lungs(probability, volume).labels
    assert min(agreement(found, truth)) > 0.999
    assert min(agreement(segment_lungs(probability, as_grey(volume)).labels, truth)) < 0.995


@pytest.mark.parametrize("height", [2.0, 5.0])
def test_ends_of_the_lungs_that_the_network_missed_are_added(height: float) -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, height)).build()
    probability = probability_of(truth)
    inside = np.flatnonzero(truth.any(axis=(0, 1)))
    missed = np.zeros_like(truth)
    for ends in (inside[: int(14 / height)], inside[-int(14 / height) :]):
        missed[:, :, ends] = truth[:, :, ends]
    probability[missed > 0] = 0
    found, grey = segment_lungs(probability, volume).labels, segment_lungs(probability, as_grey(volume)).labels
    assert np.count_nonzero(found[missed > 0]) > 0.75 * np.count_nonzero(missed)
    assert np.count_nonzero(grey[missed > 0]) < 0.1 * np.count_nonzero(missed)
    assert min(agreement(found, truth)) > 0.99


def test_growth_does_not_leave_the_body_through_a_thin_wall() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 2.0)).build()
    lateral = int(np.argwhere(truth == 1)[:, 0].max())
    outside = np.zeros(truth.shape, dtype=bool)
    outside[lateral + 4 :] = True
    volume.values[outside] = -850.0
    volume.values[lateral - 4 : lateral + 4, 67:74] = -850.0
    found = segment_lungs(probability_of(truth), volume).labels
    assert np.count_nonzero(found[outside]) < 50


def test_consolidation_at_the_wall_stays_inside() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    lesion = np.zeros(truth.shape, bool)
    wall = int(np.argwhere(truth[:, 70, 40] == 1).max())
    lesion[wall - 7 : wall + 1, 62:74, 30:50] = True
    lesion &= truth == 1
    volume.values[lesion] = TISSUE
    found = segment_lungs(probability_of((truth > 0) & ~lesion), volume).labels
    # 24 mm wide and 14 mm deep; the disc that closes it rounds its corners.
    assert np.count_nonzero(found[lesion] == 1) > 0.8 * np.count_nonzero(lesion)
    outside = (found > 0) & (truth == 0)
    assert np.count_nonzero(outside) < 0.01 * np.count_nonzero(truth)


def test_holes_are_filled_but_the_dome_of_the_diaphragm_is_not() -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    hole = np.zeros(truth.shape, bool)
    hole[130:150, 60:80, 45:52] = True
    assert (truth[hole] == 1).all()
    found = segment_lungs(probability_of((truth > 0) & ~hole), volume).labels
    assert (found[hole] == 1).all()
    assert min(agreement(found, truth)) > 0.99


def test_flicker_and_stray_blobs_vanish() -> None:
    volume, truth = Chest(spacing=(3.0, 3.0, 2.5)).build()
    probability = probability_of(truth)
    probability[:, :, 60] = 0
    probability[2:40, 2:6, 61] = 255
    probability[100:108, 80:88, 2:4] = 255
    found = segment_lungs(probability, volume).labels
    assert min(agreement(found, truth)) > 0.99
    assert not found[:, :7].any()
    assert not found[:, :, :5].any()


def test_what_the_network_half_believes_is_no_lung() -> None:
    volume, truth = Chest().build()
    assert not segment_lungs(probability_of(truth, 140), volume).labels.any()
    assert segment_lungs(probability_of(truth, 240), volume).labels.any()


@pytest.mark.parametrize(("side", "label"), [((1,), 1), ((2,), 2)])
def test_a_single_lung_keeps_its_side(side: tuple[int, ...], label: int) -> None:
    volume, truth = Chest(lungs=side, gap=-20.0).build()
    found = segment_lungs(probability_of(truth), volume).labels
    assert set(np.unique(found)) == {0, label}
    assert dice(found, truth) > 0.99


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_slices(count: int) -> None:
    volume, truth = Chest(spacing=(2.0, 2.0, 4.0)).build()
    part = slice(45, 45 + count)
    few = volume_of(volume.values[:, :, part], spacing=(2.0, 2.0, 1.0))
    found = segment_lungs(probability_of(truth[:, :, part]), few).labels
    assert min(agreement(found, truth[:, :, part])) > 0.99


def test_a_lung_cut_by_the_border_is_kept() -> None:
    volume, truth = Chest().build()
    box = (slice(25, -25), slice(15, -15), slice(22, 55))
    cropped = volume_of(volume.values[box], spacing=volume.geometry.spacing)
    found = segment_lungs(probability_of(truth[box]), cropped).labels
    assert min(agreement(found, truth[box])) > 0.99


@pytest.mark.parametrize("certain", [0, 30])
def test_no_lungs(certain: int) -> None:
    volume, truth = Chest().build()
    found = segment_lungs(np.full(truth.shape, certain, dtype=np.uint8), volume)
    assert not found.labels.any()
    assert found.geometry.matches(volume.geometry)


def test_noise_holds_no_lungs() -> None:
    random = np.random.default_rng(3)
    volume = volume_of(random.normal(0, 300, (64, 64, 32)), spacing=(5.0, 5.0, 8.0))
    probability = np.asarray(random.integers(0, 256, volume.geometry.shape), dtype=np.uint8)
    assert not segment_lungs(probability, volume).labels.any()


def test_air_around_an_empty_table_is_no_lung() -> None:
    volume = volume_of(np.full((80, 80, 40), AIR), spacing=(4.0, 4.0, 5.0))
    probability = np.zeros(volume.geometry.shape, np.uint8)
    probability[20:60, 20:60, 5:35] = 250
    assert not segment_lungs(probability, volume).labels.any()


def test_threshold() -> None:
    volume, truth = Chest().build()
    probability = probability_of(truth, 200)
    assert segment_lungs(probability, volume, threshold=0.75).labels.any()
    assert not segment_lungs(probability, volume, threshold=0.8).labels.any()


def test_shapes_must_match() -> None:
    volume, truth = Chest().build()
    with pytest.raises(InvalidImageError, match="shape"):
        segment_lungs(probability_of(truth[1:]), volume)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(order: str) -> None:
    volume, truth = Chest(spacing=(1.5, 1.5, 8.0)).build()
    probability = np.array(probability_of(truth), order="C" if order == "C" else "F")
    assert dice(segment_lungs(probability, volume).labels, truth) > 0.99


def test_working_grid_covers_every_voxel() -> None:
    volume = volume_of(np.zeros((203, 131, 50)), spacing=(0.7, 0.7, 0.6))
    grid = WorkingGrid.of(volume.geometry)
    assert grid.factors == (2, 2, 2)
    coarse = grid.sample(volume.values)
    assert coarse.shape == (25, 65, 101)
    for axis, size in enumerate((101, 65, 25)):
        nearest = grid.nearest(axis)
        assert len(nearest) == volume.geometry.shape[axis]
        assert (nearest.min(), nearest.max()) == (0, size - 1)
        assert (np.diff(nearest) >= 0).all()
    whole = grid.enlarge(coarse[0])
    assert whole.shape == (131, 203)
    for box in ((slice(0, 65), slice(0, 101)), (slice(3, 9), slice(50, 101)), (slice(64, 65), slice(0, 1))):
        np.testing.assert_array_equal(grid.enlarge(coarse[0], box), whole[grid.full_box(box)])
        np.testing.assert_array_equal(np.unique(grid.nearest(1)[grid.full_box(box)[0]]), np.arange(65)[box[0]])
