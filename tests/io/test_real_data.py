"""Real scans, judged by SimpleITK; skipped where the data are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from groundglass.io.read import read_input
from groundglass.volume import CTVolume, PictureSet


def read(path: Path) -> CTVolume:
    volume = read_input(path)
    assert isinstance(volume, CTVolume)
    return volume


def test_a_lossless_jpeg_series(shared_data: Path) -> None:
    folder = shared_data / "ct_volumes" / "covid_P001_dicom"
    volume = read(folder)
    assert volume.source.geometry.shape == (512, 512, 148)
    assert volume.geometry.spacing == pytest.approx((0.748046875, 0.748046875, 2.0))
    assert volume.source.details["kernel"] == "D40s"
    for path in sorted(folder.iterdir())[::40]:
        image = SimpleITK.ReadImage(str(path))
        x, y, z = image.TransformIndexToPhysicalPoint((0, 0, 0))
        corner = np.round(volume.geometry.index((-x, -y, z))).astype(int)
        assert corner[:2].tolist() == [511, 511]
        plane = SimpleITK.GetArrayFromImage(image)[0]
        assert np.array_equal(volume.values[::-1, ::-1, corner[2]].T, plane.astype(np.float32))


def test_feet_are_below_and_the_liver_is_on_the_right(shared_data: Path) -> None:
    volume = read(shared_data / "ct_volumes" / "covid_P001_dicom")
    tissue = volume.values[::4, ::4] > -300
    assert tissue[:, :, 8].mean() > 1.2 * tissue[:, :, -8].mean()
    dome = tissue[:, :, 30:46]
    assert dome[64:].mean() > 1.05 * dome[:64].mean()


@pytest.mark.parametrize(
    "name",
    [
        "ct_volumes/cap_cap001_ct.nii.gz",
        "ct_volumes/normal_normal001_ct.nii.gz",
        "lung3d_hu/id001_ct.nii.gz",
    ],
)
def test_nifti_volumes(shared_data: Path, name: str) -> None:
    volume = read(shared_data / name)
    image = SimpleITK.ReadImage(str(shared_data / name))
    order = volume.source.geometry.ras_order()
    expected = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    assert np.array_equal(order.undo(volume.values), expected.astype(np.float32))
    far = [size - 1 for size in image.GetSize()]
    x, y, z = image.TransformIndexToPhysicalPoint(far)
    assert np.allclose(volume.source.geometry.world(far), (-x, -y, z), atol=1e-2)


def test_sixteen_bit_pictures(shared_data: Path) -> None:
    path = sorted((shared_data / "lung2d_hu" / "ct").iterdir())[0]
    pictures = read_input(path)
    assert isinstance(pictures, PictureSet)
    assert pictures.slices[0].pixels.shape == (320, 320)
    assert pictures.slices[0].findings[0].code == "scaled-16-bit"
