"""Slices and masks that lie as pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from groundglass.errors import DatasetError, InputError
from groundglass.evaluation import predict
from groundglass.evaluation.cases import load_image, load_masks
from groundglass.evaluation.layouts import read_data
from groundglass.evaluation.planes import is_drawn, read_mask, read_plane
from groundglass.evaluation.predict import NetworkPredictor
from groundglass.evaluation.structures import INFECTION, LUNGS
from groundglass.inference.segment import SliceSegmenter

GREY = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
HU = np.linspace(-1024, 3071, 40 * 50).reshape(40, 50).round().astype(np.int16)


def write(path: Path, pixels: NDArray[np.generic]) -> Path:
    assert cv2.imwrite(str(path), np.asarray(pixels))
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_eight_bits_are_grey(ending: str, tmp_path: Path) -> None:
    plane, kind = read_plane(write(tmp_path / f"slice.{ending}", GREY))
    assert kind == "picture"
    np.testing.assert_array_equal(plane, GREY)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_hounsfield_units(ending: str, tmp_path: Path) -> None:
    plane, kind = read_plane(write(tmp_path / f"slice.{ending}", (HU.astype(np.int32) + 1024).astype(np.uint16)))
    assert kind == "hu"
    np.testing.assert_array_equal(plane, HU)


def test_values_with_a_sign_or_a_fraction_are_refused(tmp_path: Path) -> None:
    for name, mode in (("signed", np.int32), ("fraction", np.float32)):
        Image.fromarray(HU.astype(mode)).save(tmp_path / f"{name}.tif")
        with pytest.raises(DatasetError, match=r"expected 8-bit grey values, or Hounsfield units \+ 1024"):
            read_plane(tmp_path / f"{name}.tif")


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for read in (read_plane, read_mask):
        with pytest.raises(InputError, match=r"text\.png"):
            read(tmp_path / "text.png")
        with pytest.raises(DatasetError, match=r"none\.png does not exist"):
            read(tmp_path / "none.png")


@pytest.mark.parametrize("inside", [1, 255, 65535])
def test_a_mask_is_drawn_in_any_usual_way(inside: int, tmp_path: Path) -> None:
    shape = GREY % 7 == 0
    kind = np.uint16 if inside > 255 else np.uint8
    values = read_mask(write(tmp_path / "mask.png", np.where(shape, inside, 0).astype(kind)))
    np.testing.assert_array_equal(is_drawn(values), shape)


def test_labels_of_sixteen_bits_keep_their_values(tmp_path: Path) -> None:
    labels = (GREY % 3).astype(np.uint16)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "mask.png", labels)), labels)


def hounsfield_folder(parent: Path, *, second: NDArray[np.generic] | None = None) -> Path:
    """One volume of two 16-bit slices."""
    for name in ("ct", "lung", "infection"):
        (parent / name).mkdir(parents=True)
    stored = (HU.astype(np.int32) + 1024).astype(np.uint16)
    for number, pixels in enumerate((stored, stored[::-1].copy() if second is None else second)):
        write(parent / "ct" / f"{number}.png", pixels)
        write(parent / "lung" / f"{number}.png", np.where(GREY > 99, 255, 0).astype(np.uint8))
        write(parent / "infection" / f"{number}.png", np.where(GREY > 199, 1, 0).astype(np.uint8))
    (parent / "slices.csv").write_text("file,patient\n0.png,anna\n1.png,anna\n")
    return parent


def test_hounsfield_units_reach_the_network_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = read_data(hounsfield_folder(tmp_path / "data")).cases
    image = load_image(case)
    masks = load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=False)
    assert masks.planes["infection"][0].sum() == (GREY > 199).sum()
    assert image.fits(masks.planes["lungs"])
    shown = image.shown(0)
    assert (shown[HU <= -1250].size, int(shown[HU >= 250].min())) == (0, 255)
    seen = []

    def remember(slices: list[NDArray[np.generic]], kind: str, *_: object, **__: object) -> list[object]:
        seen.append((kind, [int(plane.min()) for plane in slices]))
        blank = np.zeros(HU.shape, np.uint8)
        return [{"lung": blank, "infection": blank} for _ in slices]

    monkeypatch.setattr(predict, "smoothed_channels", remember)
    NetworkPredictor.of(SliceSegmenter(threads=1)).predict(case, image)
    assert seen == [("hu", [-1024, -1024])]


def test_a_volume_of_both_kinds_is_refused(tmp_path: Path) -> None:
    (case,) = read_data(hounsfield_folder(tmp_path / "data", second=GREY)).cases
    with pytest.raises(DatasetError, match=r"1 slices of 16 bits .* and 1 of 8 bits; expected slices of one kind"):
        load_image(case)
