"""Geometry against hand-made truth and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundglass.errors import InvalidGeometryError
from groundglass.geometry import AxisOrder, Geometry
from tests.support.volumes import ORIENTATIONS, marked_scan, rotation, turned

sizes = st.tuples(*[st.integers(1, 12)] * 3)
spacings = st.tuples(*[st.floats(0.1, 8.0)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)
angles = st.tuples(*[st.floats(-180, 180)] * 3)
orientations = st.sampled_from(ORIENTATIONS)


@st.composite
def grids(draw: st.DrawFn) -> Geometry:
    base = Geometry.from_spacing(draw(sizes), draw(spacings), draw(origins))
    _, affine = turned(np.zeros(base.shape, np.int16), base.affine, *draw(orientations))
    shape = tuple(draw(sizes))
    return Geometry((shape[0], shape[1], shape[2]), rotation(draw(angles)) @ affine)


def test_world_of_known_voxels() -> None:
    grid = Geometry.from_spacing((4, 5, 6), (0.5, 2.0, 3.0), (10.0, -20.0, 30.0))
    assert grid.world((0, 0, 0)).tolist() == [10.0, -20.0, 30.0]
    assert grid.world([(1, 2, 3), (3, 0, 0.5)]).tolist() == [[10.5, -16.0, 39.0], [11.5, -20.0, 31.5]]
    assert grid.spacing == (0.5, 2.0, 3.0)
    assert grid.voxel_ml == pytest.approx(0.003)
    assert grid.orientation == "RAS"


def test_orientation_letters_of_a_usual_nifti() -> None:
    grid = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 2.0, 1.0]))
    assert grid.orientation == "LPS"
    assert grid.ras_order() == AxisOrder((0, 1, 2), (True, True, False))


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_ras_order_undoes_every_orientation(axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    scan, truth = marked_scan()
    array, affine = turned(scan, truth.affine, axes, flips)
    grid = Geometry(array.shape, affine)
    order = grid.ras_order()
    assert np.array_equal(order.apply(array), scan)
    assert grid.reordered(order).matches(truth, tolerance_mm=1e-9)
    assert np.array_equal(order.undo(order.apply(array)), array)


@given(grids(), st.data())
def test_index_inverts_world(grid: Geometry, data: st.DataObject) -> None:
    points = np.array([[data.draw(st.floats(-50, 50)) for _ in range(3)] for _ in range(2)])
    assert np.allclose(grid.index(grid.world(points)), points, atol=1e-6)
    assert np.allclose(grid.world(grid.index(points[0])), points[0], atol=1e-6)


@given(grids(), orientations)
def test_reordering_moves_no_voxel(
    grid: Geometry, orientation: tuple[tuple[int, int, int], tuple[bool, bool, bool]]
) -> None:
    order = AxisOrder(*orientation)
    indices = np.indices(grid.shape).transpose(1, 2, 3, 0)
    coordinates = grid.world(indices)
    moved = np.stack([order.apply(coordinates[..., axis]) for axis in range(3)], axis=-1)
    other = grid.reordered(order)
    assert np.allclose(other.world(np.indices(other.shape).transpose(1, 2, 3, 0)), moved, atol=1e-6)
    assert other.voxel_ml == pytest.approx(grid.voxel_ml)
    assert sorted(other.spacing) == pytest.approx(sorted(grid.spacing))


@given(grids())
def test_ras_order_points_along_the_world_axes(grid: Geometry) -> None:
    directions = grid.reordered(grid.ras_order()).affine[:3, :3]
    unit = directions / np.linalg.norm(directions, axis=0)
    assert np.all(np.diag(unit) > -1e-9)


@given(grids(), st.data())
def test_a_crop_keeps_its_place(grid: Geometry, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, size - 1)) for size in grid.shape)
    stop = tuple(data.draw(st.integers(low + 1, size)) for low, size in zip(start, grid.shape, strict=True))
    part = grid.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    assert np.allclose(part.world((0, 0, 0)), grid.world(start), atol=1e-6)
    last = np.subtract(part.shape, 1)
    assert np.allclose(part.world(last), grid.world(np.add(start, last)), atol=1e-6)
    assert part.voxel_ml == pytest.approx(grid.voxel_ml)


@given(grids(), angles)
def test_rotation_keeps_the_volume(grid: Geometry, degrees: tuple[float, float, float]) -> None:
    turned_grid = Geometry(grid.shape, rotation(degrees) @ grid.affine)
    assert turned_grid.voxel_ml == pytest.approx(grid.voxel_ml)
    assert turned_grid.spacing == pytest.approx(grid.spacing)
    assert turned_grid.tilt_degrees == pytest.approx(0.0, abs=1e-3)


def test_tilt_of_a_sheared_grid() -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 2.0 * np.tan(np.radians(12.0))
    grid = Geometry((4, 4, 4), affine)
    assert grid.tilt_degrees == pytest.approx(12.0)
    assert grid.voxel_ml == pytest.approx(0.002)


def test_matches_looks_at_the_far_corner() -> None:
    grid = Geometry.from_spacing((100, 100, 100), (1.0, 1.0, 1.0))
    assert grid.matches(Geometry.from_spacing((100, 100, 100), (1.0, 1.0, 1.0 + 1e-6)))
    assert not grid.matches(Geometry.from_spacing((100, 100, 100), (1.0, 1.0, 1.001)))
    assert not grid.matches(Geometry.from_spacing((100, 100, 99), (1.0, 1.0, 1.0)))


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), "spacing"),
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(3), "4x4"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.diag([1.0, 1.0, 1.0, 2.0]), "last row"),
    ],
)
def test_impossible_affines(affine: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidGeometryError, match=message):
        Geometry((3, 3, 3), affine)


def test_impossible_shapes_and_boxes() -> None:
    with pytest.raises(InvalidGeometryError, match="shape"):
        Geometry((3, 0, 3), np.eye(4))
    grid = Geometry((3, 3, 3), np.eye(4))
    with pytest.raises(InvalidGeometryError, match="leaves the volume"):
        grid.cropped((0, 0, 0), (3, 3, 4))
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 2.0
