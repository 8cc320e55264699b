"""DICOM series of the phantom: valid, in their place, and each defect as named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage

from groundglass.errors import OptionError
from groundglass.io.read import read_input
from groundglass.phantom import Phantom, make_chest
from groundglass.phantom.defects import PLAIN, SeriesDefects, TransferSyntax
from groundglass.phantom.series import write_dicom_series
from groundglass.volume import CTVolume

LOSSLESS = [name for name in get_args(TransferSyntax) if name != "jpeg-baseline"]


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_chest(8, shape=(40, 36, 16))


def read(scan: Phantom, folder: Path, defects: SeriesDefects = PLAIN) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in write_dicom_series(scan, folder, defects)]


def heights(datasets: list[pydicom.Dataset]) -> list[float]:
    return [float(dataset.ImagePositionPatient[2]) for dataset in datasets]


def hounsfield(dataset: pydicom.Dataset) -> np.ndarray:
    return np.asarray(dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept))


def test_simpleitk_finds_every_voxel_in_its_place(small: Phantom, tmp_path: Path) -> None:
    paths = write_dicom_series(small, tmp_path)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    assert sorted(names) == [str(path) for path in paths]
    image = SimpleITK.ReadImage(names)
    assert image.GetSpacing() == pytest.approx(small.volume.geometry.spacing, abs=1e-5)
    indices = np.random.default_rng(1).integers(0, small.volume.geometry.shape, size=(60, 3))
    for index, point in zip(indices, small.volume.geometry.world(indices), strict=True):
        place = image.TransformPhysicalPointToIndex((-point[0], -point[1], point[2]))
        assert image[place] == small.volume.values[tuple(index)]


def test_a_plain_series_is_a_valid_ct_of_nobody(small: Phantom, tmp_path: Path) -> None:
    datasets = read(small, tmp_path)
    assert len(datasets) == 16
    assert {dataset.SOPClassUID for dataset in datasets} == {CTImageStorage}
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 16
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1
    assert str(datasets[0].PatientName) == "SYNTHETIC^PHANTOM"
    for dataset in datasets:
        assert all(len(uid) <= 64 for uid in (dataset.SOPInstanceUID, dataset.SeriesInstanceUID))
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_the_same_series_twice_is_the_same_bytes(small: Phantom, tmp_path: Path) -> None:
    syntaxes: tuple[TransferSyntax, ...] = ("jpeg-ls", "explicit")
    for name in syntaxes:
        defects = SeriesDefects(transfer_syntax=name)
        first = write_dicom_series(small, tmp_path / name / "a", defects)
        second = write_dicom_series(small, tmp_path / name / "b", defects)
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_encoding_keeps_the_pixels(
    small: Phantom, tmp_path: Path, syntax: TransferSyntax, frames: bool
) -> None:
    datasets = read(small, tmp_path, SeriesDefects(transfer_syntax=syntax, multi_frame=frames))
    compressed = datasets[0].file_meta.TransferSyntaxUID.is_compressed
    assert compressed == (syntax in ("rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000"))
    pixels = datasets[0].pixel_array[9] if frames else datasets[9].pixel_array
    assert (pixels.astype(int) - 1024 == small.volume.axial(9)).all()


@pytest.mark.parametrize("frames", [False, True])
def test_lossy_jpeg_is_close_within_its_window(small: Phantom, tmp_path: Path, frames: bool) -> None:
    datasets = read(small, tmp_path, SeriesDefects(transfer_syntax="jpeg-baseline", multi_frame=frames))
    dataset = datasets[0]
    pixels = dataset.pixel_array[9] if frames else datasets[9].pixel_array
    assert (dataset.BitsAllocated, pixels.dtype) == (8, np.uint8)
    difference = pixels * (1500 / 255) - 1350 - np.clip(small.volume.axial(9), -1350, 150)
    assert np.abs(difference).mean() < 40


def test_missing_slices_are_missing(small: Phantom, tmp_path: Path) -> None:
    plain = heights(read(small, tmp_path / "plain"))
    gaps = heights(read(small, tmp_path / "gaps", SeriesDefects(missing_slices=(4, 9))))
    assert gaps == [z for place, z in enumerate(plain) if place not in (4, 9)]


@pytest.mark.parametrize(("kind", "same"), [("identical", True), ("different", False)])
def test_a_slice_is_there_twice(small: Phantom, tmp_path: Path, kind: str, same: bool) -> None:
    datasets = read(small, tmp_path, SeriesDefects(duplicate=kind))  # type: ignore[arg-type]
    place, count = Counter(heights(datasets)).most_common(1)[0]
    assert count == 2
    first, second = (dataset for dataset, z in zip(datasets, heights(datasets), strict=True) if z == place)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert bool((first.pixel_array == second.pixel_array).all()) is same


def test_a_tilted_gantry_shears_the_volume(small: Phantom, tmp_path: Path) -> None:
    datasets = read(small, tmp_path, SeriesDefects(tilt_degrees=20))
    row, column = (np.array(datasets[0].ImageOrientationPatient, dtype=float)[part] for part in (slice(3), slice(3, 6)))
    step = np.subtract(datasets[1].ImagePositionPatient, datasets[0].ImagePositionPatient).astype(float)
    step /= np.linalg.norm(step)
    assert np.degrees(np.arccos(step @ np.cross(row, column))) == pytest.approx(20, abs=0.01)
    dataset = datasets[8]  # the pixel in the middle of the plane, and one far in front, show what lies there
    for rows, columns in ((18, 20), (5, 20)):
        point = np.array(dataset.ImagePositionPatient, dtype=float)
        point += row * columns * float(dataset.PixelSpacing[1]) + column * rows * float(dataset.PixelSpacing[0])
        index = small.volume.geometry.index((-point[0], -point[1], point[2]))
        low = np.floor(index + 1e-6).astype(int)
        around = small.volume.values[low[0], low[1] : low[1] + 2, low[2] : low[2] + 2]
        assert around.min() - 1 <= hounsfield(dataset)[rows, columns] <= around.max() + 1


def test_uneven_spacing_has_two_steps(small: Phantom, tmp_path: Path) -> None:
    steps = np.diff(heights(read(small, tmp_path, SeriesDefects(uneven_spacing=True))))
    assert sorted({round(step / small.volume.geometry.spacing[2], 3) for step in steps}) == [1.0, 2.0]


def test_numbers_and_names_need_not_follow_the_position(small: Phantom, tmp_path: Path) -> None:
    datasets = read(small, tmp_path / "numbers", SeriesDefects(shuffled_numbers=True))
    numbers = [int(dataset.InstanceNumber) for dataset in datasets]
    assert sorted(numbers) == list(range(1, 17))
    assert numbers != sorted(numbers)
    named = heights(read(small, tmp_path / "names", SeriesDefects(reversed_names=True, without_endings=True)))
    assert named == sorted(named, reverse=True)
    assert not list((tmp_path / "names").glob("*.dcm"))


@pytest.mark.parametrize("signed", [False, True])
def test_slices_have_their_own_rescale(small: Phantom, tmp_path: Path, signed: bool) -> None:
    datasets = read(small, tmp_path, SeriesDefects(rescale_per_slice=True, signed=signed))
    assert len({(dataset.RescaleSlope, dataset.RescaleIntercept) for dataset in datasets}) > 5
    assert {int(dataset.PixelRepresentation) for dataset in datasets} == {int(signed)}
    for place, dataset in enumerate(datasets):
        assert np.abs(hounsfield(dataset) - small.volume.axial(place)).max() <= 0.75


@pytest.mark.parametrize(("kind", "series"), [("own series", 2), ("same series", 1)])
def test_a_localizer_is_added(small: Phantom, tmp_path: Path, kind: str, series: int) -> None:
    datasets = read(small, tmp_path, SeriesDefects(localizer=kind))  # type: ignore[arg-type]
    assert len(datasets) == 17
    assert [dataset.ImageType[2] for dataset in datasets].count("LOCALIZER") == 1
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == series


def test_a_second_series_is_added(small: Phantom, tmp_path: Path) -> None:
    counts = Counter(dataset.SeriesInstanceUID for dataset in read(small, tmp_path, SeriesDefects(second_series=True)))
    assert sorted(counts.values()) == [6, 16]


def test_other_kinds_of_images(small: Phantom, tmp_path: Path) -> None:
    resonance = read(small, tmp_path / "mr", SeriesDefects(modality="MR"))[0]
    assert (resonance.Modality, resonance.SOPClassUID) == ("MR", MRImageStorage)
    colour = read(small, tmp_path / "rgb", SeriesDefects(colour=True))[0]
    assert (colour.SOPClassUID, colour.PhotometricInterpretation) == (SecondaryCaptureImageStorage, "RGB")
    assert colour.pixel_array.shape == (36, 40, 3)


def test_missing_parts(small: Phantom, tmp_path: Path) -> None:
    assert "PixelData" not in read(small, tmp_path / "a", SeriesDefects(without_pixels=True))[0]
    assert "ImagePositionPatient" not in read(small, tmp_path / "b", SeriesDefects(without_position=True))[0]
    assert "PixelSpacing" not in read(small, tmp_path / "c", SeriesDefects(without_spacing=True))[0]
    named = read(small, tmp_path / "d", SeriesDefects(patient_name="Muster^Max"))[0]
    assert str(named.PatientName) == "Muster^Max"


def test_another_matrix_covers_the_same_area(small: Phantom, tmp_path: Path) -> None:
    dataset = read(small, tmp_path, SeriesDefects(matrix=80))[8]
    assert (dataset.Rows, dataset.Columns) == (80, 80)
    wide, deep, _ = small.volume.geometry.spacing
    assert float(dataset.PixelSpacing[1]) * 80 == pytest.approx(40 * wide)
    assert float(dataset.PixelSpacing[0]) * 80 == pytest.approx(36 * deep)
    corner = float(dataset.ImagePositionPatient[0]) - float(dataset.PixelSpacing[1]) / 2
    right = float(small.volume.geometry.world((39, 35, 8))[0])
    assert corner == pytest.approx(-right - wide / 2)


def test_frames_of_an_enhanced_image_have_their_places(small: Phantom, tmp_path: Path) -> None:
    dataset = read(small, tmp_path, SeriesDefects(multi_frame=True))[0]
    groups = dataset.PerFrameFunctionalGroupsSequence
    assert int(dataset.NumberOfFrames) == len(groups) == 16
    places = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]
    assert places == pytest.approx([float(small.volume.geometry.world((0, 0, z))[2]) for z in range(16)])


def test_impossible_wishes_are_refused(small: Phantom, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be left out"):
        write_dicom_series(small, tmp_path, SeriesDefects(missing_slices=(99,)))


@pytest.mark.parametrize(
    "defects",
    [
        PLAIN,
        SeriesDefects(transfer_syntax="jpeg-lossless", reversed_names=True, without_endings=True),
        SeriesDefects(localizer="same series", shuffled_numbers=True, signed=True),
        SeriesDefects(multi_frame=True, transfer_syntax="jpeg-2000"),
        SeriesDefects(duplicate="identical"),
    ],
)
def test_the_projects_own_reader_gets_the_scan_back(small: Phantom, tmp_path: Path, defects: SeriesDefects) -> None:
    write_dicom_series(small, tmp_path / "series", defects)
    volume = read_input(tmp_path / "series")
    assert isinstance(volume, CTVolume)
    assert volume.geometry.matches(small.volume.geometry, tolerance_mm=1e-3)
    assert (volume.values == small.volume.values).all()
