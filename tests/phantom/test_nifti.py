"""NIfTI files of the phantom, read back by two other readers at known places in the patient."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from nibabel.affines import apply_affine
from nibabel.orientations import aff2axcodes

from groundglass.errors import OptionError
from groundglass.phantom import Phantom, make_chest
from groundglass.phantom.nifti import axis_order, orientations, turned, write_nifti


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_chest(6, shape=(48, 40, 26))


def test_there_are_48_orientations() -> None:
    assert len(set(orientations())) == 48


@pytest.mark.parametrize("orientation", orientations())
def test_every_orientation_keeps_every_voxel_in_its_place(small: Phantom, orientation: str, tmp_path: Path) -> None:
    path = write_nifti(small.volume, tmp_path / "scan.nii", orientation=orientation)
    image = nibabel.load(path)
    assert "".join(aff2axcodes(image.affine)) == orientation
    indices = np.random.default_rng(0).integers(0, small.volume.geometry.shape, size=(40, 3))
    world = small.volume.geometry.world(indices)
    expected = small.volume.values[tuple(indices.T)]
    places = np.rint(apply_affine(np.linalg.inv(image.affine), world)).astype(int)
    assert (np.asarray(image.dataobj)[tuple(places.T)] == expected).all()
    other = SimpleITK.ReadImage(str(path))
    for point, value in zip(world[:12], expected, strict=False):
        lps = (-point[0], -point[1], point[2])
        assert other[other.TransformPhysicalPointToIndex(lps)] == value


def test_an_oblique_file_is_turned_about_the_middle(small: Phantom, tmp_path: Path) -> None:
    path = write_nifti(small.volume, tmp_path / "oblique.nii.gz", orientation="ASL", oblique_degrees=17)
    geometry = turned(small.volume.geometry, 17)
    middle = (np.array(geometry.shape) - 1) / 2
    assert geometry.world(middle) == pytest.approx(small.volume.geometry.world(middle))
    assert geometry.spacing == pytest.approx(small.volume.geometry.spacing)
    assert geometry.tilt_degrees == pytest.approx(0, abs=1e-4)
    image = nibabel.load(path)
    index = (11, 7, 20)
    place = np.rint(apply_affine(np.linalg.inv(image.affine), geometry.world(index))).astype(int)
    assert np.asarray(image.dataobj)[tuple(place)] == small.volume.values[index]


def test_scaled_and_float_files_hold_the_same_values(small: Phantom, tmp_path: Path) -> None:
    scaled = nibabel.load(write_nifti(small.volume, tmp_path / "s.nii", orientation="RAS", scaling=(0.5, -1024.0)))
    assert (scaled.dataobj.slope, scaled.dataobj.inter) == (0.5, -1024.0)
    assert (np.asarray(scaled.dataobj) == small.volume.values).all()
    plain = nibabel.load(write_nifti(small.volume, tmp_path / "f.nii", orientation="RAS", dtype=np.float64))
    assert plain.get_data_dtype() == np.float64
    assert (np.asarray(plain.dataobj) == small.volume.values).all()


def test_labels_are_written_as_they_are(small: Phantom, tmp_path: Path) -> None:
    image = nibabel.load(write_nifti(small.lungs, tmp_path / "lungs.nii.gz", orientation="LPS"))
    assert image.get_data_dtype() == np.uint8
    assert (np.asarray(image.dataobj)[::-1, ::-1] == small.lungs.labels).all()


def test_the_same_scan_gives_the_same_file(small: Phantom, tmp_path: Path) -> None:
    first, second = (write_nifti(small.volume, tmp_path / name / "a.nii.gz") for name in made(tmp_path))
    assert first.read_bytes() == second.read_bytes()


def made(folder: Path) -> list[str]:
    for name in ("one", "two"):
        (folder / name).mkdir()
    return ["one", "two"]


@pytest.mark.parametrize("wrong", ["RA", "RRS", "xyz", "", "RASL"])
def test_an_impossible_orientation_is_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="expected three letters"):
        axis_order(wrong)
