"""Images in memory, names of cases, and natural order."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from groundglass.errors import InvalidGeometryError, InvalidImageError, NotCTError, OptionError
from groundglass.io.convert import from_array, from_nibabel, from_simpleitk
from groundglass.io.folder import natural_order
from groundglass.io.options import case_name
from tests.support.volumes import marked_scan

SCAN, GRID = marked_scan()


def test_an_array_with_spacing_is_ras() -> None:
    volume = from_array(SCAN, spacing=GRID.spacing)
    assert volume.geometry.orientation == "RAS"
    assert volume.geometry.spacing == pytest.approx(GRID.spacing)
    assert np.array_equal(volume.values, SCAN.astype(np.float32))
    assert volume.source.format == "array"


def test_an_array_with_an_affine_is_turned() -> None:
    volume = from_array(
        SCAN[::-1],
        affine=GRID.affine @ np.array([[-1, 0, 0, SCAN.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    )
    assert np.array_equal(volume.values, SCAN.astype(np.float32))
    assert volume.geometry.matches(GRID)


def test_the_callers_array_is_not_shared() -> None:
    array = np.asfortranarray(SCAN.astype(np.float32))
    volume = from_array(array, spacing=(1.0, 1.0, 1.0))
    array[:] = 0
    assert volume.values.any()


def test_wrong_arrays() -> None:
    with pytest.raises(OptionError, match="either"):
        from_array(SCAN)
    with pytest.raises(OptionError, match="either"):
        from_array(SCAN, spacing=(1, 1, 1), affine=np.eye(4))
    with pytest.raises(InvalidImageError, match="2 axes"):
        from_array(SCAN[0], spacing=(1, 1, 1))
    with pytest.raises(InvalidGeometryError, match="spacing"):
        from_array(SCAN, spacing=(1, 0, 1))
    with pytest.raises(InvalidImageError, match="three sizes"):
        from_array(SCAN, spacing=(1, 1))  # type: ignore[arg-type]
    with pytest.raises(InvalidImageError, match="type object"):
        from_array(SCAN.astype(object), spacing=(1, 1, 1))


def test_nibabel_images_of_other_kinds() -> None:
    volume = from_nibabel(nibabel.MGHImage(SCAN.astype(np.float32), GRID.affine))
    assert volume.geometry.matches(GRID, tolerance_mm=1e-2)
    assert np.array_equal(volume.values, SCAN.astype(np.float32))


def test_simpleitk_images_that_are_no_scan() -> None:
    image = SimpleITK.GetImageFromArray(SCAN)
    with pytest.raises(NotCTError, match="2 channels"):
        from_simpleitk(SimpleITK.Compose([image, image]))
    with pytest.raises(InvalidImageError, match="2 axes"):
        from_simpleitk(image[:, :, 0])
    with pytest.raises(InvalidImageError, match="complex"):
        from_simpleitk(SimpleITK.Cast(image, SimpleITK.sitkComplexFloat32))


def test_four_axes_with_one_frame() -> None:
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(SCAN)])
    assert image.GetDimension() == 4
    assert from_simpleitk(image).source.geometry.shape == SCAN.shape[::-1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/scan.nii.gz", "scan"),
        ("scan.v2.nii", "scan.v2"),
        ("dicom folder", "dicom_folder"),
        ("scan.DCM", "scan"),
        ("weird:*name?.zip", "weird__name"),
        ("Müller 肺.png", "Müller_肺"),
        (".hidden", "hidden"),
        ("...", "scan"),
        ("___", "scan"),
        ("CON.nii", "CON_"),
        (".nii.gz", "nii.gz"),
    ],
)
def test_case_names(path: str, name: str) -> None:
    assert case_name(Path(path)) == name


@given(st.text(max_size=200).filter(lambda text: "/" not in text and "\0" not in text))
def test_case_names_are_safe(text: str) -> None:
    name = case_name(Path("folder") / text)
    assert name
    assert len(name) <= 81
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert not set(name) & set('/\\:*?"<>| \0')


def test_natural_order() -> None:
    names = ["b1", "a10", "a9", "a1", "A2", "10", "9"]
    assert sorted(names, key=lambda name: natural_order(Path(name))) == ["9", "10", "a1", "A2", "a9", "a10", "b1"]
