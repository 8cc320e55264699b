from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.check import check_picture_lungs, check_pictures
from groundglass.volume import PictureSet, Slice2D
from tests.support.chest import Chest


def picture() -> NDArray[np.uint8]:
    """A CT slice with a lung window, as shown on a screen."""
    volume, _ = Chest(spacing=(1.5, 1.5, 40.0)).build()
    return np.asarray(np.clip((volume.axial(4) + 1250) / 1500 * 255, 0, 255), dtype=np.uint8)


def radiograph() -> NDArray[np.uint8]:
    """What a chest looks like in projection: the mean along the depth, blurred."""
    volume, _ = Chest(spacing=(1.5, 3.0, 1.5)).build()
    density = (volume.values + 1000).clip(0).sum(axis=1)
    shadow = np.log1p(density[20:-20, 10:-10] / 4000)
    grey = (shadow - shadow.min()) / np.ptp(shadow) * 255
    return np.asarray(cv2.GaussianBlur(grey[::-1, ::-1].T.astype(np.float32), (0, 0), 4), dtype=np.uint8)


def codes(*pictures: NDArray[np.uint8]) -> list[str]:
    slices = tuple(Slice2D(np.ascontiguousarray(one), f"{index}.png") for index, one in enumerate(pictures))
    return [finding.code for finding in check_pictures(PictureSet("case", slices))]


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_good_pictures(turn: int) -> None:
    shown = picture()
    assert codes(np.rot90(shown, turn)) == []
    assert codes(shown[30:-30, 30:-30]) == []


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.zeros((256, 256), np.uint8), "picture-blank"),
        (np.full((256, 256), 200, np.uint8), "picture-blank"),
        (picture()[::3, ::3], "picture-small"),
        (np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8), "picture-noise"),
        (np.hstack([picture()] * 3), "picture-shape"),
        (radiograph(), "picture-projection"),
    ],
)
def test_faults(pixels: NDArray[np.uint8], code: str) -> None:
    assert codes(pixels) == [code]


def test_names_the_pictures() -> None:
    blank = np.zeros((256, 256), np.uint8)
    slices = tuple(Slice2D(blank if index else picture(), f"slice_{index}.png") for index in range(6))
    (finding,) = check_pictures(PictureSet("case", slices))
    assert finding.text.startswith("5 of 6 pictures (slice_1.png, slice_2.png, slice_3.png and 2 more)")


def test_one_pixel_does_not_break_a_check() -> None:
    assert codes(np.zeros((1, 1), np.uint8)) == ["picture-blank"]
    assert codes(np.array([[0, 200]], np.uint8)) == ["picture-small"]


def test_real_slices_are_not_taken_for_radiographs(shared_data: Path) -> None:
    files = sorted((shared_data / "covid20" / "ct").glob("*.png"))[::100]
    files += sorted((shared_data / "medseg_train" / "ct").glob("*.*"))[::10]
    found = [codes(np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)) for file in files]
    assert len(found) > 10
    assert found == [[]] * len(found)


def test_lungs_that_are_uncertain_all_over_are_named() -> None:
    sharp = np.zeros((100, 100), np.uint8)
    sharp[20:60, 20:60] = 255
    fuzzy, specks = np.where(sharp, 150, 0).astype(np.uint8), np.zeros_like(sharp)
    specks[:5, :5] = 150
    slices = tuple(Slice2D(picture(), f"slice_{index}.png") for index in range(3))
    (finding,) = check_picture_lungs(PictureSet("case", slices), [sharp, fuzzy, specks])
    assert (finding.code, finding.severity) == ("lungs-uncertain", "warning")
    assert finding.text.startswith("1 of 3 pictures (slice_1.png): most of what may be lung is uncertain")
    assert check_picture_lungs(PictureSet("case", slices), [sharp, sharp, specks]) == []
