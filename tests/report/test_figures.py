from __future__ import annotations

import cv2
import numpy as np
import pytest

from groundglass.finding import Finding
from groundglass.report.drawing import LINE, Canvas, Frame, fitted, text_width
from groundglass.report.figures import headline, overlay_montage, pictures_overlay, png_bytes
from groundglass.report.palette import CONSOLIDATION, LEFT_LUNG, RIGHT_LUNG
from groundglass.report.views import View
from tests.report.conftest import Case, make_analysis, make_case, make_pictures, unknown_measurements


def like(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture is tinted with this colour, however much grey is mixed in."""
    wanted = np.array(colour, dtype=float) - np.mean(colour)
    tint = pixels - pixels.mean(axis=-1, keepdims=True)
    strength = np.linalg.norm(tint, axis=-1)
    alike = tint @ wanted / np.maximum(strength * np.linalg.norm(wanted), 1e-6)
    return np.asarray((alike > 0.98) & (strength > 0.5 * np.linalg.norm(wanted)))


def plain_view(rows: int = 60, columns: int = 100, letters: tuple[str, str, str, str] = ("", "", "", "")) -> View:
    empty = np.zeros((rows, columns), np.uint8)
    return View(np.full((rows, columns), 128, np.uint8), empty, empty, (1.0, 1.0), letters)


def drawn(view: View, frame: Frame) -> np.ndarray:
    canvas = Canvas(frame.left + frame.width + 20, frame.top + frame.height + 20)
    canvas.tile(view, frame)
    return np.asarray(canvas.picture()).astype(int)


@pytest.mark.parametrize(
    ("letters", "part"),
    [
        (("R", "", "", ""), (slice(None), slice(0, 110))),
        (("", "L", "", ""), (slice(None), slice(310, None))),
        (("", "", "A", ""), (slice(0, 80), slice(None))),
        (("", "", "", "P"), (slice(250, None), slice(None))),
    ],
)
def test_orientation_letters_stand_at_their_border(
    letters: tuple[str, str, str, str], part: tuple[slice, slice]
) -> None:
    frame = Frame(10, 10, 400, 290)
    changed = (drawn(plain_view(letters=letters), frame) != drawn(plain_view(), frame)).any(axis=-1)
    assert changed.any()
    changed[part] = False
    assert not changed.any()


def test_a_label_is_drawn_on_its_pixels() -> None:
    view = plain_view(50, 100)
    infection = np.zeros((50, 100), np.uint8)
    infection[5:15, 70:90] = 2
    view = View(view.grey, view.lungs, infection, (2.0, 1.0))
    canvas = Canvas(500, 500)
    filled = canvas.paste(view, Frame(50, 50, 400, 400))
    assert (filled.width, filled.height) == (400, 400), "100 columns of 1 mm and 50 rows of 2 mm make a square"
    rows, columns = np.nonzero(like(canvas.pixels, CONSOLIDATION))
    assert abs(rows.min() - (50 + 5 * 8)) <= 2
    assert abs(rows.max() - (50 + 15 * 8)) <= 2
    assert abs(columns.min() - (50 + 70 * 4)) <= 2
    assert abs(columns.max() - (50 + 90 * 4)) <= 2


def test_scale_bar_has_its_true_length() -> None:
    black = np.zeros((80, 160), np.uint8)
    view = View(black, black, black, (1.0, 1.0))
    frame = Frame(0, 0, 480, 240 + 2 * LINE)
    pixels = drawn(view, frame)
    lowest = pixels[frame.height - LINE : frame.height]
    white = np.asarray((lowest > 200).all(axis=-1), dtype=bool).tolist()
    rows = ["".join("x" if sign else " " for sign in row) for row in white]
    longest = max(len(run) for row in rows for run in row.split())
    assert longest == 50 * 3


def test_montage_has_the_right_lung_on_the_left_and_the_lesion_low(case: Case) -> None:
    analysis = make_analysis()
    picture = np.asarray(overlay_montage(case.volume, case.lungs, case.infection, analysis=analysis, tiles=1))
    tile = picture[96:-48, 24 : 24 + 372]
    right, left = np.argwhere(like(tile, RIGHT_LUNG)), np.argwhere(like(tile, LEFT_LUNG))
    assert right.size
    assert left.size
    assert right[:, 1].max() < left[:, 1].min()
    lesion = np.argwhere(like(tile, CONSOLIDATION))
    assert lesion[:, 1].mean() < 372 / 2
    assert lesion[:, 0].mean() > right[:, 0].mean(), "a posterior lesion lies in the lower part"


def test_montage_shows_the_only_infected_slice(case: Case) -> None:
    picture = np.asarray(overlay_montage(case.volume, case.lungs, case.infection, tiles=2))
    assert like(picture[96:-48, : 24 + 4 * 380], CONSOLIDATION).sum() > 50


def test_montage_is_the_same_every_time_and_its_png_reads_back(case: Case) -> None:
    first = overlay_montage(case.volume, case.lungs, case.infection, analysis=make_analysis())
    second = overlay_montage(case.volume, case.lungs, case.infection, analysis=make_analysis())
    assert np.array_equal(np.asarray(first), np.asarray(second))
    decoded = cv2.imdecode(np.frombuffer(png_bytes(first), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(decoded[:, :, ::-1], np.asarray(first))


def test_montage_without_lungs_shows_the_scan() -> None:
    empty = make_case(lungs=False)
    finding = Finding(code="no-lungs", severity="error", text="No lungs were found.")
    analysis = make_analysis(findings=[finding])
    picture = np.asarray(overlay_montage(empty.volume, empty.lungs, empty.infection, analysis=analysis))
    inner = picture[96:-48]
    assert not like(inner, LEFT_LUNG).any()
    assert headline(analysis) == "No lungs were found: no numbers"


def test_headline_leaves_out_what_is_not_known() -> None:
    assert headline(make_analysis()) == (
        "Involvement 12.5 % (right 18.1 %, left 5.9 %)  ·  infection 512 ml of 4,103 ml  ·  severity score 10 of 24"
    )
    assert headline(make_analysis(measurements=unknown_measurements(3.0))) == "Involvement 3.0 %"


@pytest.mark.parametrize("count", [1, 2, 25])
def test_pictures_of_any_number_are_drawn(count: int) -> None:
    pictures, lungs, infection, analysis = make_pictures(count)
    picture = np.asarray(pictures_overlay(pictures, lungs, infection, analysis=analysis))
    assert picture.ndim == 3
    assert like(picture[96:-48], RIGHT_LUNG).any()


def test_panel_shows_the_original_beside_the_drawing() -> None:
    pictures, lungs, infection, _ = make_pictures(1)
    picture = np.asarray(pictures_overlay(pictures, lungs, infection))[96:-48]
    half = picture.shape[1] // 2
    assert not like(picture[:, :half], RIGHT_LUNG).any()
    assert like(picture[:, half:], RIGHT_LUNG).any()


def test_long_and_strange_names_fit() -> None:
    name = "näme " * 60 + "\n\x00end"
    assert text_width(fitted(name, 300, 20), 20) <= 300
    odd = make_case(name=name)
    picture = overlay_montage(odd.volume, odd.lungs, odd.infection, analysis=make_analysis(case=name))
    assert picture.width < 2000
