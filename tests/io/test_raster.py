"""Pictures: every colour mode to 8-bit grey, upright, and honest about what they lack."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from groundglass.io.read import read_input
from groundglass.volume import PictureSet, Slice2D

ROWS, COLUMNS = 48, 64
GREY = (np.add.outer(np.arange(ROWS) * 3, np.arange(COLUMNS)) % 256).astype(np.uint8)


def read(path: Path) -> PictureSet:
    pictures = read_input(path)
    assert isinstance(pictures, PictureSet)
    return pictures


def read_one(image: Image.Image, path: Path, **options: Any) -> Slice2D:
    image.save(path, **options)
    pictures = read(path)
    assert [finding.code for finding in pictures.findings] == ["no-hu"]
    assert len(pictures.slices) == 1
    return pictures.slices[0]


def palette(values: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(values)
    coded = Image.new("P", image.size)
    coded.putpalette([shade for shade in range(255, -1, -1) for _ in range(3)])
    coded.putdata((255 - values).ravel().tolist())
    return coded


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("RGB"),
        Image.fromarray(GREY).convert("RGBA"),
        Image.fromarray(GREY).convert("LA"),
        palette(GREY),
    ],
    ids=["L", "RGB", "RGBA", "LA", "P"],
)
def test_grey_values_survive_every_mode(tmp_path: Path, image: Image.Image) -> None:
    picture = read_one(image, tmp_path / "slice 1.png")
    assert np.array_equal(picture.pixels, GREY)
    assert picture.name == "slice 1.png"
    assert picture.findings == ()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path: Path, mode: str) -> None:
    smooth = np.add.outer(np.arange(ROWS) * 2, np.arange(COLUMNS)).astype(np.uint8)
    picture = read_one(Image.fromarray(smooth).convert(mode), tmp_path / "a.jpg", quality=95)
    assert np.abs(picture.pixels.astype(int) - smooth).max() <= 6
    assert picture.findings == ()


def test_one_bit(tmp_path: Path) -> None:
    picture = read_one(Image.fromarray(GREY > 99), tmp_path / "a.png")
    assert np.array_equal(picture.pixels, np.where(GREY > 99, 255, 0))


def test_sixteen_bits_are_stretched_and_told(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 40 + 500
    picture = read_one(Image.fromarray(values), tmp_path / "a.png")
    expected = (values - values.min()) * (255.0 / (values.max() - values.min()))
    assert np.abs(picture.pixels - expected).max() <= 0.51
    assert picture.findings[0].code == "scaled-16-bit"
    assert f"{values.min()} to {values.max()}" in picture.findings[0].text


def test_a_flat_sixteen_bit_picture(tmp_path: Path) -> None:
    picture = read_one(Image.fromarray(np.full((40, 40), 700, np.uint16)), tmp_path / "a.png")
    assert not picture.pixels.any()


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    values = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    values[:10, :, 3] = 0
    picture = read_one(Image.fromarray(values), tmp_path / "a.png")
    assert not picture.pixels[:10].any()
    assert np.array_equal(picture.pixels[10:], GREY[10:])


def test_colours_are_told(tmp_path: Path) -> None:
    values = np.dstack([GREY] * 3)
    values[5:15, 5:15] = (255, 0, 0)
    picture = read_one(Image.fromarray(values), tmp_path / "a.png")
    assert [finding.code for finding in picture.findings] == ["coloured-picture"]
    assert "3.3 %" in picture.findings[0].text
    assert np.array_equal(picture.pixels[20:], GREY[20:])


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.ascontiguousarray(np.rot90(GREY)))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_one(image, tmp_path / "a.jpg", quality=100, exif=exif)
    assert picture.pixels.shape == (ROWS, COLUMNS)
    assert np.abs(picture.pixels[4:-4, 4:40].astype(int) - GREY[4:-4, 4:40]).mean() < 12


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / "case 7"
    folder.mkdir()
    for number in (10, 9, 1, 100):
        Image.fromarray(GREY // 2 + number).save(folder / f"slice{number}.png")
    Image.fromarray(GREY).convert("RGB").save(folder / "Slice11.JPG")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"x")
    pictures = read(folder)
    assert [picture.name for picture in pictures.slices] == [
        "slice1.png",
        "slice9.png",
        "slice10.png",
        "Slice11.JPG",
        "slice100.png",
    ]
    assert pictures.case == "case_7"


def test_unreadable_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 40).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    (tmp_path / "b.png").write_bytes(stream.getvalue()[:1500])
    Image.new("L", (8, 8)).save(tmp_path / "c.png")
    pictures = read(tmp_path)
    assert [picture.name for picture in pictures.slices] == ["a.png"]
    left_out = pictures.findings[1]
    assert left_out.code == "pictures-left-out"
    assert "2 pictures" in left_out.text
    assert "b.png, c.png" in left_out.text


def test_pictures_below_are_used_only_if_there_are_none_on_top(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    Image.fromarray(GREY).save(tmp_path / "below" / "small.png")
    assert [picture.name for picture in read(tmp_path).slices] == ["small.png"]
    Image.fromarray(GREY).save(tmp_path / "top.png")
    pictures = read(tmp_path)
    assert [picture.name for picture in pictures.slices] == ["top.png"]
    assert [finding.code for finding in pictures.findings] == ["no-hu", "subfolders-left-out"]
