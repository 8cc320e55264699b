"""Volumes, label maps and pictures check what they are given."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.geometry import Geometry
from groundglass.volume import (
    LUNG_NAMES,
    CTVolume,
    Heatmap,
    LabelMap,
    PictureSet,
    Slice2D,
    Source,
    require_same_grid,
)
from tests.support.volumes import MARKS, ORIENTATIONS, mark_positions, marked_scan, turned


def _volume(axes: tuple[int, ...] = (0, 1, 2), flips: tuple[bool, ...] = (False, False, False)) -> CTVolume:
    scan, grid = marked_scan()
    array, affine = turned(scan, grid.affine, axes, flips)
    return CTVolume.from_source(array, Source("case", "array", Geometry(array.shape, affine)))


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_from_source_puts_every_orientation_in_ras(axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    volume = _volume(axes, flips)
    assert volume.geometry.orientation == "RAS"
    assert volume.values.dtype == np.int16
    for index, value in MARKS.items():
        assert volume.values[index] == value
        assert np.allclose(volume.geometry.world(index), mark_positions()[value])


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_labels_return_to_the_source_grid(axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    scan, grid = marked_scan()
    array, _ = turned(scan, grid.affine, axes, flips)
    volume = _volume(axes, flips)
    labels = LabelMap((volume.values > 0).astype(np.uint8), volume.geometry, {1: "mark"}, volume.source)
    assert np.array_equal(labels.on_source_grid(), array > 0)
    image = labels.to_nibabel()
    assert np.allclose(image.affine, volume.source.geometry.affine)
    assert image.get_data_dtype() == np.uint8


def test_axial_shows_anterior_on_top_and_the_patients_right_on_the_left() -> None:
    volume = _volume()
    (x, y, z), value = next(iter(MARKS.items()))
    rows, columns = volume.axial(z).shape
    assert (columns, rows) == volume.geometry.shape[:2]
    assert volume.axial(z)[rows - 1 - y, columns - 1 - x] == value


def test_volume_ml_counts_voxels() -> None:
    grid = Geometry.from_spacing((10, 10, 10), (1.0, 2.0, 5.0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:5, :2, :1] = 2
    lungs = LabelMap(labels, grid, LUNG_NAMES, Source("case", "array", grid))
    assert lungs.volume_ml(2) == pytest.approx(0.1)
    assert lungs.volume_ml(1) == 0.0


def test_wrong_arrays_are_refused() -> None:
    grid = Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0))
    source = Source("case", "array", grid)
    with pytest.raises(InvalidImageError, match="shape"):
        CTVolume(np.zeros((4, 3, 2), np.float32), grid, source)
    with pytest.raises(InvalidImageError, match="float32"):
        CTVolume(np.zeros((2, 3, 4)), grid, source)  # type: ignore[arg-type]
    with pytest.raises(InvalidImageError, match="uint8"):
        LabelMap(np.zeros((2, 3, 4), np.int16), grid, {}, source)
    with pytest.raises(InvalidImageError, match="shape"):
        Heatmap(np.zeros((2, 3, 5), np.uint8), grid, source)
    with pytest.raises(InvalidImageError, match="rows x columns"):
        Slice2D(np.zeros((5, 5, 3), np.uint8), "a.png")
    with pytest.raises(InvalidImageError, match="at least one"):
        PictureSet("case", ())


def test_volumes_on_different_grids_do_not_meet() -> None:
    volume = _volume()
    require_same_grid(
        volume, CTVolume(volume.values, Geometry(volume.geometry.shape, volume.geometry.affine), volume.source)
    )
    shifted = volume.geometry.affine.copy()
    shifted[0, 3] += 0.5
    moved = CTVolume(volume.values, Geometry(volume.geometry.shape, shifted), volume.source)
    with pytest.raises(GeometryMismatchError, match="different grids"):
        require_same_grid(volume, moved)
