from __future__ import annotations

import cv2
import numpy as np
import pytest

from groundglass.errors import InvalidImageError
from groundglass.image.lung_view import as_grey, classifier_view, lung_box
from groundglass.image.stages import STAGES, all_stages, at_stage, classical_lungs, patient_mask
from groundglass.inference.engine import check_pictures


def body() -> np.ndarray:
    """A body with two dark lungs (`check_pictures`) on a table."""
    picture = check_pictures(256, 1)[0, 0].copy()
    picture[230:236, 20:236] = 220
    return np.asarray(picture)


def true_lungs() -> np.ndarray:
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    sides = [((x - side) / 0.28) ** 2 + (y / 0.48) ** 2 < 1 for side in (-0.4, 0.4)]
    return np.asarray(sides[0] | sides[1])


def test_patient_without_table_and_air() -> None:
    mask = patient_mask(body())
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    inside = (x / 0.85) ** 2 + (y / 0.65) ** 2 < 1
    assert 2 * (mask.astype(bool) & inside).sum() / (mask.sum() + inside.sum()) > 0.97
    assert not mask[230:236].any()


def test_classical_lungs_find_both_lungs() -> None:
    found, truth = classical_lungs(body()) > 0, true_lungs()
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def test_a_crop_to_the_lungs_counts_as_body() -> None:
    # Cut through both lungs: the largest bright piece is the mediastinum, not the patient.
    crop = body()[90:166, 50:206]
    assert patient_mask(crop).all()
    assert classical_lungs(crop).mean() > 60


def test_stages_have_the_sizes_and_blacks_they_promise() -> None:
    picture = body()
    mask = (true_lungs() * 255).astype(np.uint8)
    stages = all_stages(picture, mask)
    assert tuple(stages) == STAGES
    assert stages["original"] is picture
    assert stages["background-removed"].shape == picture.shape
    assert not stages["background-removed"][232].any()
    box = lung_box(mask)
    assert stages["lungs-cropped"].shape == stages["lungs-masked"].shape == (box.bottom - box.top, box.right - box.left)
    uncropped = stages["lungs-masked-uncropped"]
    assert not uncropped[mask == 0].any()
    np.testing.assert_array_equal(uncropped[mask > 0], picture[mask > 0])
    np.testing.assert_array_equal(stages["lungs-masked"], box.of(uncropped))
    np.testing.assert_array_equal(stages["lungs-cropped"], box.of(picture))


@pytest.mark.parametrize("stage", STAGES)
def test_a_picture_without_lungs_passes_every_stage(stage: str) -> None:
    flat = np.full((60, 80), 90, np.uint8)
    shown = at_stage(flat, stage, np.zeros_like(flat))  # type: ignore[arg-type]
    assert shown.shape == flat.shape
    assert shown.any() == ("masked" not in stage)


def test_wrong_stages_and_lungs_are_refused() -> None:
    flat = np.full((60, 80), 90, np.uint8)
    with pytest.raises(InvalidImageError, match="no image stage 'cropped'"):
        at_stage(flat, "cropped")  # type: ignore[arg-type]
    with pytest.raises(InvalidImageError, match=r"lungs of shape \(10, 10\)"):
        at_stage(flat, "lungs-masked", np.zeros((10, 10), np.uint8))


def test_lung_box_keeps_to_the_picture_and_ignores_stray_pixels() -> None:
    lung = np.zeros((200, 300), np.uint8)
    lung[0:120, 40:260] = 255
    lung[199, 299] = 255
    box = lung_box(lung)
    assert box.top == 0
    assert 25 <= box.left <= 40
    assert 118 <= box.bottom <= 130
    assert 259 <= box.right <= 275
    assert lung_box(np.zeros((50, 70), np.uint8)) == type(box)(0, 50, 0, 70)


def test_classifier_view_shows_hu_through_the_lung_window_and_infection_in_the_lungs_only() -> None:
    hu = np.full((128, 128), 40.0, np.float32)
    lung = np.zeros((128, 128), np.uint8)
    lung[32:96, 16:112] = 255
    hu[lung > 0] = -850.0
    hu[0, 0] = np.nan
    infection = np.full_like(lung, 200)
    view, box = classifier_view(hu, lung, infection, size=64)
    assert view.shape == (3, 64, 64)
    assert view.dtype == np.uint8
    assert view[0, 32, 32] == round((1250 - 850) / 1500 * 255)
    assert view[2, 32, 32] == 200
    assert view[2, 0, 0] == 0
    assert box.top < 32 < 96 < box.bottom
    assert as_grey(hu)[0, 0] == as_grey(np.full((1, 1), -1024.0, np.float32))[0, 0]
    grey = cv2.resize(body(), (128, 128))
    np.testing.assert_array_equal(as_grey(grey), grey)


def test_the_classifier_sees_no_finer_detail_of_a_large_slice_than_of_a_small_one() -> None:
    def contrast(side: int) -> float:
        stripes = np.zeros((side, side), np.uint8)
        stripes[:, ::2] = 255
        lung = np.zeros_like(stripes)
        lung[side // 4 : -side // 4, side // 4 : -side // 4] = 255
        view, box = classifier_view(stripes, lung, lung, size=400)
        assert abs(box.left - 0.225 * side) <= 2  # a margin of 5 % around the lung, in pixels of the slice itself
        return float(view[0].std())

    assert contrast(320) > 50
    assert contrast(640) < 10
