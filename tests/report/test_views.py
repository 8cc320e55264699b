from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.report.views import (
    Profile,
    axial_views,
    coronal_view,
    picture_views,
    profile,
    sagittal_view,
    spread_pictures,
    spread_slices,
)
from groundglass.volume import CTVolume, PictureSet, Slice2D
from tests.report.conftest import SPACING, Case, make_case


def marked(case: Case, place: tuple[int, int, int]) -> CTVolume:
    """The scan with one bright voxel."""
    values = case.volume.values.copy()
    values[:] = -1350.0
    values[place] = 150.0
    return case.volume.with_values(values, units="HU", findings=())


def bright(view_grey: np.ndarray) -> tuple[int, int]:
    places = np.argwhere(view_grey == 255)
    assert len(places) == 1
    return int(places[0][0]), int(places[0][1])


def test_axial_view_shows_a_voxel_where_a_radiologist_expects_it(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    across, deep, _ = measured.box
    view = axial_views(marked(case, (70, 50, 12)), case.lungs, case.infection, measured, [12])[0]
    row, column = bright(view.grey)
    assert (row, column) == (deep.stop - 1 - 50, across.stop - 1 - 70)
    assert row < view.grey.shape[0] / 2, "an anterior voxel is in the upper half"
    assert column < view.grey.shape[1] / 2, "a voxel of the patient's right is in the left half"
    assert view.letters == ("R", "L", "A", "P")


def test_coronal_and_sagittal_views_have_the_head_on_top(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    across, deep, tall = measured.box
    lung, infected = case.lungs.labels > 0, case.infection.labels > 0
    y = int((lung.sum(axis=(0, 2)) * infected.sum(axis=(0, 2))).argmax())
    coronal = coronal_view(marked(case, (70, y, 24)), case.lungs, case.infection, measured)
    assert bright(coronal.grey) == (tall.stop - 1 - 24, across.stop - 1 - 70)
    assert coronal.letters == ("R", "L", "H", "F")
    x = int((lung.sum(axis=(1, 2)) * infected.sum(axis=(1, 2))).argmax())
    sagittal = sagittal_view(marked(case, (x, 50, 24)), case.lungs, case.infection, measured)
    assert bright(sagittal.grey) == (tall.stop - 1 - 24, deep.stop - 1 - 50)
    assert sagittal.letters == ("A", "P", "H", "F")


def test_slice_numbers_count_from_the_head_and_positions_are_world_millimetres(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    view = axial_views(case.volume, case.lungs, case.infection, measured, [27])[0]
    assert view.title == "Slice 3 of 30"
    assert view.index == 3
    assert view.position == "z −165.0 mm"


def test_aspect_follows_the_spacing_of_rows_columns_and_slices(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    axial = axial_views(case.volume, case.lungs, case.infection, measured, [14])[0]
    assert axial.extent == (axial.grey.shape[0] * SPACING[1], axial.grey.shape[1] * SPACING[0])
    coronal = coronal_view(case.volume, case.lungs, case.infection, measured)
    assert coronal.extent == (coronal.grey.shape[0] * SPACING[2], coronal.grey.shape[1] * SPACING[0])


def test_labels_lie_on_their_pixels(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    view = axial_views(case.volume, case.lungs, case.infection, measured, [12])[0]
    infected = view.infection == 2
    assert np.count_nonzero(infected) == np.count_nonzero(case.infection.labels[:, :, 12])
    assert set(np.unique(view.grey[infected])) == {round((-500 + 1350) / 1500 * 255)}


def test_profile_measures_areas_and_shares(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    pixel = SPACING[0] * SPACING[1] / 100
    for z in (0, 5, 10, 11, 20, 29):
        assert measured.lung_cm2[z] == pytest.approx(np.count_nonzero(case.lungs.labels[:, :, z]) * pixel)
        assert measured.infected_cm2[z] == pytest.approx(np.count_nonzero(case.infection.labels[:, :, z]) * pixel)
    assert measured.consolidation_cm2.nonzero()[0].tolist() == [12]
    assert measured.percent(0) is None
    share = measured.percent(10)
    assert share is not None
    assert 0 < share < 100


def test_box_holds_the_lungs_with_a_margin_and_stays_inside(case: Case) -> None:
    measured = profile(case.lungs, case.infection)
    inside = np.zeros_like(case.lungs.labels, dtype=bool)
    inside[measured.box] = True
    assert not np.any((case.lungs.labels > 0) & ~inside)
    assert all(0 <= part.start < part.stop <= size for part, size in zip(measured.box, inside.shape, strict=True))


def test_without_lungs_the_whole_scan_is_shown() -> None:
    empty = make_case(lungs=False)
    measured = profile(empty.lungs, empty.infection)
    assert measured.lung_slices is None
    assert tuple(part.stop for part in measured.box) == empty.lungs.labels.shape
    view = axial_views(empty.volume, empty.lungs, empty.infection, measured, spread_slices(measured, 12))[0]
    assert view.grey.shape == (70, 90)
    assert view.percent is None


def test_grey_scans_are_shown_as_delivered(case: Case) -> None:
    values = np.full_like(case.volume.values, 100.0)
    grey = case.volume.with_values(values, units="grey", findings=())
    measured = profile(case.lungs, case.infection)
    view = axial_views(grey, case.lungs, case.infection, measured, [14])[0]
    assert np.unique(view.grey).tolist() == [100]


def made_up_profile(areas: list[float], first: int) -> Profile:
    depth = first + len(areas) + 2
    infected = np.zeros(depth)
    infected[first : first + len(areas)] = areas
    box = (slice(0, 1), slice(0, 1), slice(0, depth))
    nothing = np.zeros((1, 1), bool)
    span = (first, first + len(areas) - 1)
    return Profile(np.full(depth, 100.0), infected, np.zeros(depth), box, span, (nothing, nothing), (0, 0))


@given(
    st.lists(st.floats(0, 90), min_size=1, max_size=200),
    st.integers(0, 20),
    st.integers(1, 60),
)
def test_chosen_slices_are_few_ordered_within_the_lungs_and_hold_the_worst(
    areas: list[float], first: int, count: int
) -> None:
    measured = made_up_profile(areas, first)
    chosen = spread_slices(measured, count)
    assert 1 <= len(chosen) <= count
    assert chosen == sorted(set(chosen), reverse=True)
    assert all(first <= z < first + len(areas) for z in chosen)
    if max(areas) > 0:
        assert max(measured.infected_cm2[z] for z in chosen) == max(areas)


def test_a_second_peak_does_not_push_out_the_first() -> None:
    areas = [0.0] * 40
    areas[14], areas[3] = 9.0, 8.0
    chosen = spread_slices(made_up_profile(areas, 0), 4)
    assert {14, 3} <= set(chosen)


def test_slices_spread_over_the_whole_height() -> None:
    chosen = spread_slices(made_up_profile([0.0] * 120, 10), 12)
    assert len(chosen) == 12
    assert np.ptp(np.diff(chosen)) <= 1


@given(st.lists(st.integers(0, 30), min_size=1, max_size=90), st.integers(5, 40))
def test_chosen_pictures_hold_the_most_infected(amounts: list[int], count: int) -> None:
    masks = [np.zeros((6, 6), np.uint8) for _ in amounts]
    for mask, amount in zip(masks, amounts, strict=True):
        mask.ravel()[:amount] = 1
    chosen = spread_pictures(masks, count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(amounts))
    assert max(amounts) in {amounts[place] for place in chosen}


def test_pictures_of_a_volume_are_cut_to_its_lungs_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    volume, other = (rng.integers(0, 255, (100, 200)).astype(np.uint8) for _ in range(2))
    images = [*[volume] * 5, other]
    lungs = [np.zeros((100, 200), np.uint8) for _ in images]
    lungs[1][20:30, 50:60] = 1
    lungs[3][40:60, 120:150] = 2
    lungs[5][10:20, 10:20] = 1
    infection = [np.where(lung == 2, 1, 0).astype(np.uint8) for lung in lungs]
    pictures = PictureSet("set", tuple(Slice2D(image, f"{number}.png") for number, image in enumerate(images)))
    views = picture_views(pictures, lungs, infection, [0, 3, 5])
    for view, number in zip(views[:2], (0, 3), strict=True):
        np.testing.assert_array_equal(view.grey, images[number][16:64, 42:158])
        np.testing.assert_array_equal(view.lungs, lungs[number][16:64, 42:158])
        np.testing.assert_array_equal(view.infection, infection[number][16:64, 42:158])
    assert [view.percent for view in views] == [None, 100.0, 0.0]
    np.testing.assert_array_equal(views[2].grey, other)
    assert [view.title for view in views] == ["Picture 1 of 6", "Picture 4 of 6", "Picture 6 of 6"]
