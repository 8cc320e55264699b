"""What we read and write lies where it lay: 48 axis orders and oblique grids, judged by two other readers."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from groundglass.io.convert import from_nibabel, from_simpleitk
from groundglass.io.read import read_input
from groundglass.io.write import write_nifti
from groundglass.volume import CTVolume, LabelMap
from tests.support.volumes import MARKS, ORIENTATIONS, RAS_ORIGIN, mark_positions, marked_scan, rotation, turned

OBLIQUE = [(7.0, 0.0, 0.0), (0.0, -20.0, 0.0), (10.0, 20.0, 30.0), (-35.0, 12.0, 140.0)]


def save_scan(path: Path, array: NDArray[np.int16], affine: NDArray[np.float64]) -> Path:
    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    nibabel.save(image, path)
    return path


def read_volume(path: Path) -> CTVolume:
    volume = read_input(path)
    assert isinstance(volume, CTVolume)
    return volume


def label_marks(volume: CTVolume) -> LabelMap:
    labels = np.zeros(volume.values.shape, np.uint8)
    for number, value in enumerate(MARKS.values(), start=1):
        labels[volume.values == value] = number
    return LabelMap(labels, volume.geometry, {1: "one", 2: "two", 3: "three", 4: "four"}, volume.source)


def values_at_by_nibabel(path: Path, points: list[NDArray[np.float64]]) -> list[float]:
    image = nibabel.load(path)
    data = np.asarray(image.dataobj)
    indices = [np.linalg.solve(image.affine, [*point, 1.0])[:3] for point in points]
    for index in indices:
        assert np.allclose(index, np.round(index), atol=1e-3)
    return [float(data[tuple(np.round(index).astype(int))]) for index in indices]


def values_at_by_itk(path: Path, points: list[NDArray[np.float64]]) -> list[float]:
    image = SimpleITK.ReadImage(str(path))
    lps = [(-float(x), -float(y), float(z)) for x, y, z in points]
    return [float(image[image.TransformPhysicalPointToIndex(point)]) for point in lps]


def assert_in_place(path: Path, folder: Path, turn: NDArray[np.float64] | None = None) -> None:
    """Read, label the marks, write, and find the labels at the marks' world positions with both readers."""
    volume = read_volume(path)
    places = mark_positions()
    if turn is not None:
        places = {value: (turn @ [*point, 1.0])[:3] for value, point in places.items()}
    for value, point in places.items():
        index = tuple(np.round(volume.geometry.index(point)).astype(int))
        assert volume.values[index] == value
    target = folder / "labels.nii.gz"
    write_nifti(label_marks(volume), target)
    points = list(places.values())
    assert values_at_by_nibabel(target, points) == [1, 2, 3, 4]
    assert values_at_by_itk(target, points) == [1, 2, 3, 4]
    before, after = nibabel.load(path), nibabel.load(target)
    assert after.shape == before.shape
    assert np.allclose(after.affine, before.affine, atol=1e-4)
    assert after.get_data_dtype() == np.uint8


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_all_axis_orders(tmp_path: Path, axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    scan, grid = marked_scan()
    path = save_scan(tmp_path / "scan.nii.gz", *turned(scan, grid.affine, axes, flips))
    assert_in_place(path, tmp_path)


@pytest.mark.parametrize("degrees", OBLIQUE)
@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS[5::11])
def test_oblique_grids(
    tmp_path: Path, axes: tuple[int, ...], flips: tuple[bool, ...], degrees: tuple[float, float, float]
) -> None:
    scan, grid = marked_scan()
    turn = rotation(degrees)
    array, affine = turned(scan, turn @ grid.affine, axes, flips)
    assert_in_place(save_scan(tmp_path / "scan.nii.gz", array, affine), tmp_path, turn)


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_itk_formats_agree_with_nifti(
    tmp_path: Path, suffix: str, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    scan, grid = marked_scan()
    nifti = save_scan(tmp_path / "scan.nii", *turned(scan, grid.affine, axes, flips))
    other = tmp_path / f"scan{suffix}"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(other))
    first, second = read_volume(nifti), read_volume(other)
    assert second.geometry.matches(first.geometry)
    assert second.source.geometry.matches(first.source.geometry)
    assert np.array_equal(first.values, second.values)


def test_a_sheared_grid_keeps_its_affine(tmp_path: Path) -> None:
    scan, grid = marked_scan()
    affine = grid.affine.copy()
    affine[1, 2] = 0.6
    path = save_scan(tmp_path / "scan.nii.gz", scan, affine)
    volume = read_volume(path)
    write_nifti(label_marks(volume), tmp_path / "labels.nii.gz")
    assert np.allclose(nibabel.load(tmp_path / "labels.nii.gz").affine, affine, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_images_in_memory_agree(
    degrees: tuple[float, float, float], orientation: tuple[tuple[int, ...], tuple[bool, ...]]
) -> None:
    scan, grid = marked_scan()
    array, affine = turned(scan, rotation(degrees) @ grid.affine, *orientation)
    by_nibabel = from_nibabel(nibabel.Nifti1Image(array, affine))
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    by_itk = from_simpleitk(image)
    assert by_itk.geometry.matches(by_nibabel.geometry, tolerance_mm=1e-3)
    assert np.array_equal(by_itk.values, by_nibabel.values)


def test_the_phantom_has_no_symmetry() -> None:
    scan, _ = marked_scan()
    distinct = {turned(scan, np.eye(4), axes, flips)[0].tobytes() for axes, flips in ORIENTATIONS}
    assert len(distinct) == 48
    assert len(set(RAS_ORIGIN)) == 3
