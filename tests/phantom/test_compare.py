"""Truth beside result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundglass.errors import GeometryMismatchError
from groundglass.phantom import HEALTHY, Phantom, compare_with_truth, make_chest


def test_the_truth_itself_is_perfect(phantom: Phantom) -> None:
    result = compare_with_truth(phantom, phantom.lungs, phantom.infection)
    assert (result.lungs_dice, result.right_lung_dice, result.left_lung_dice, result.infection_dice) == (1, 1, 1, 1)
    assert result.false_infection_ml == 0
    assert all(lesion.found and lesion.recall == 1 for lesion in result.lesions)
    assert result.involvement_percent.truth == result.involvement_percent.result
    assert result.infection_ml.truth == pytest.approx(sum(lesion.ml for lesion in phantom.lesions))
    assert result.lung_ml.truth == pytest.approx(phantom.lungs.volume_ml(1) + phantom.lungs.volume_ml(2))


def test_swapped_sides_and_a_lost_lesion_show(phantom: Phantom) -> None:
    swapped = np.array([0, 2, 1], dtype=np.uint8)[phantom.lungs.labels]
    infection = phantom.infection.labels.copy()
    infection[phantom.lesion_index == 2] = 0
    result = compare_with_truth(
        phantom, replace(phantom.lungs, labels=swapped), replace(phantom.infection, labels=infection)
    )
    assert result.lungs_dice == 1
    assert result.right_lung_dice == 0
    assert not result.lesions[1].found
    assert result.lesions[1].recall == 0
    total, lost = result.infection_ml.truth, phantom.lesions[1].ml
    assert total is not None
    assert result.infection_dice == pytest.approx(2 * (total - lost) / (2 * total - lost))
    assert result.infection_ml.result == pytest.approx(total - lost)


def test_an_empty_result(phantom: Phantom) -> None:
    empty = np.zeros_like(phantom.lungs.labels)
    result = compare_with_truth(phantom, replace(phantom.lungs, labels=empty), replace(phantom.infection, labels=empty))
    assert result.lungs_dice == 0
    assert result.involvement_percent.result is None
    assert result.involvement_percent.truth is not None


def test_a_healthy_chest_without_findings_is_perfect() -> None:
    healthy = make_chest(1, shape=(48, 48, 24), options=HEALTHY)
    result = compare_with_truth(healthy, healthy.lungs, healthy.infection)
    assert result.infection_dice == 1
    assert result.lesions == ()
    assert result.involvement_percent.truth == 0
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_another_grid_is_refused(phantom: Phantom) -> None:
    other = make_chest(1, shape=(48, 48, 24))
    with pytest.raises(GeometryMismatchError):
        compare_with_truth(phantom, other.lungs, other.infection)
