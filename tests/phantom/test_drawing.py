"""The drawing tools: exact partial volume of tubes and polygons, smooth fields, interpolated keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.phantom.canvas import Canvas, Grid, ellipse
from groundglass.phantom.shapes import Keyed, offset, smooth_closed
from groundglass.phantom.texture import SmoothField, reconstruction_noise
from groundglass.phantom.tubes import TubeLayer, Tubes

steps = st.floats(0.6, 3.0)


def grid_of(spacing: tuple[float, float, float], extent: float = 40.0) -> Grid:
    shape = tuple(int(np.ceil(2 * extent / step)) for step in spacing)
    origin = tuple(-step * (n - 1) / 2 for step, n in zip(spacing, shape, strict=True))
    return Grid(shape, spacing, origin)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(steps, steps, steps),
    end=st.tuples(*[st.floats(-25, 25)] * 3),
    radius=st.floats(0.3, 6.0),
)
def test_a_tube_keeps_its_volume_at_any_voxel_size(
    spacing: tuple[float, float, float], end: tuple[float, float, float], radius: float
) -> None:
    start = np.array([[-26.0, 3.0, 5.0]])
    finish = np.array([end], dtype=float)
    length = float(np.linalg.norm(finish - start))
    grid = grid_of(spacing)
    tubes = Tubes(start, finish, np.array([radius]))
    layer = TubeLayer(tubes, grid, gain=1e-3)  # a tiny gain keeps every voxel below the ceiling of 1
    covers = [layer.coverage(z) for z in range(grid.shape[2])]
    volume = 1e3 * grid.voxel_mm3 * sum(float(cover.sum(dtype=np.float64)) for cover in covers if cover is not None)
    assert volume == pytest.approx(np.pi * radius**2 * length, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(step=st.floats(0.7, 3.0), a=st.floats(8, 30), b=st.floats(8, 30), x=st.floats(-6, 6), turn=st.floats(0, 180))
def test_an_ellipse_keeps_its_area_and_place(step: float, a: float, b: float, x: float, turn: float) -> None:
    grid = grid_of((step, step, 3.0))
    found = Canvas(grid, 0.0, np.zeros(grid.shape[1::-1], np.float32)).coverage(ellipse((x, 1.0), (a, b), turn))
    assert found is not None
    box, cover = found
    assert 0 <= cover.min() <= cover.max() <= 1
    area = float(cover.sum()) * step * step
    # The outline is drawn to a fraction of a pixel, so the error grows with the pixel's share of the radius.
    assert area == pytest.approx(np.pi * a * b, rel=0.02 + 0.3 * step / min(a, b))
    middle = float((cover.sum(axis=0) * grid.axis(0)[box[1]]).sum() / cover.sum())
    assert middle == pytest.approx(x, abs=0.5 * step)


def test_painting_outside_the_slice_changes_nothing() -> None:
    grid = grid_of((2.0, 2.0, 3.0))
    hu = np.zeros(grid.shape[1::-1], np.float32)
    Canvas(grid, 0.0, hu).ellipse((500, 500), (10, 10), 100)
    assert not hu.any()


def test_keys_are_met_and_held_beyond_the_ends() -> None:
    keyed = Keyed([(10, 1, 5), (0, 0, 7), (20, 4, 5)])
    assert keyed(10) == pytest.approx([1, 5])
    assert keyed(99) == pytest.approx([4, 5])
    assert keyed(-99) == pytest.approx([0, 7])
    assert keyed([0, 20]).shape == (2, 2)
    assert keyed.covers(20)
    assert not keyed.covers(21)
    assert keyed.covers(21, 2)


def test_offset_moves_a_circle_outwards() -> None:
    circle = ellipse((0, 0), (20, 20))
    assert np.linalg.norm(offset(circle, 3), axis=1) == pytest.approx(23, abs=0.05)
    assert np.linalg.norm(offset(circle, -3), axis=1) == pytest.approx(17, abs=0.05)


def test_a_closed_curve_passes_its_control_points() -> None:
    control = [(10.0, 0.0), (0.0, 12.0), (-10.0, 0.0), (0.0, -8.0)]
    assert smooth_closed(control, 40)[::10] == pytest.approx(np.array(control))


@pytest.mark.parametrize("scale", [4.0, 12.0])
def test_fields_are_smooth_with_unit_spread(scale: float) -> None:
    grid = grid_of((1.5, 1.5, 2.5), 60.0)
    field = SmoothField(grid, scale, np.random.default_rng(0)).volume()
    assert field.shape == grid.shape[::-1]
    assert field.mean() == pytest.approx(0, abs=0.25)
    assert field.std() == pytest.approx(1, abs=0.3)
    near, far = np.diff(field, axis=2).std(), (field[:, :, 40:] - field[:, :, :-40]).std()
    assert near < 0.75 * far


def test_noise_has_its_level_and_is_stronger_at_the_shoulders() -> None:
    grid = Grid((120, 120, 30), (1.15, 1.15, 2.5), (-68.0, -68.0, 200.0))
    noise = np.stack(list(reconstruction_noise(grid, 17.0, np.random.default_rng(0))))
    middle = noise[:4, 40:80, 40:80]
    assert middle.std() == pytest.approx(17, rel=0.25)
    assert noise[-1, 40:80, 40:80].std() > 1.3 * middle.std()
    assert abs(middle.mean()) < 1
