"""DICOM series: order, rescale, packing, tilt, gaps, doubles, several series."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from groundglass.errors import InputNotFoundError, NotCTError, SeriesError, SeveralSeriesError, UnreadableFileError
from groundglass.io.read import list_series, read_input
from groundglass.volume import CTVolume
from tests.support.dicom import (
    PATIENT,
    PATIENT_ID,
    SECONDARY_CAPTURE,
    SeriesSpec,
    recompress,
    write_enhanced,
    write_series,
)
from tests.support.volumes import ORIENTATIONS, marked_scan, rotation, turned

SCAN, GRID = marked_scan()


def read(path: Path, **options: Any) -> CTVolume:
    volume = read_input(path, **options)
    assert isinstance(volume, CTVolume)
    return volume


def codes(volume: CTVolume) -> list[str]:
    return [finding.code for finding in volume.findings]


def assert_is_scan(volume: CTVolume, scan: NDArray[Any] = SCAN) -> None:
    assert np.array_equal(volume.values, scan.astype(np.float32))
    assert volume.geometry.matches(GRID, tolerance_mm=1e-3)


def long_scan(slices: int = 14) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """(9, 8, slices): every slice has its own value, so that order and interpolation show."""
    scan = np.zeros((9, 8, slices), np.int16)
    scan[:] = np.arange(slices, dtype=np.int16) * 50 - 1000
    scan[0, 0] = 7
    return scan, np.diag([1.0, 1.5, 2.0, 1.0])


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_all_axis_orders(tmp_path: Path, axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    write_series(tmp_path, *turned(SCAN, GRID.affine, axes, flips))
    assert_is_scan(read(tmp_path))


def test_an_oblique_series(tmp_path: Path) -> None:
    affine = rotation((8.0, -14.0, 5.0)) @ GRID.affine
    volume = read(write_series(tmp_path, SCAN, affine))
    assert codes(volume) == []
    for index in ((0, 0, 0), (11, 2, 7)):
        assert volume.values[index] == SCAN[index]
        assert np.allclose(volume.geometry.world(index), (affine @ [*index, 1.0])[:3], atol=1e-5)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("signed", [False, True])
def test_uncompressed_syntaxes(tmp_path: Path, syntax: str, signed: bool) -> None:
    spec = SeriesSpec(syntax=syntax, signed=signed, intercept=0.0 if signed else -1024.0)
    volume = read(write_series(tmp_path, SCAN, GRID.affine, spec))
    assert_is_scan(volume)
    assert volume.source.details["transfer_syntax"] == pydicom.uid.UID(syntax).name


@pytest.mark.parametrize(
    "kind", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless", "JPEG2000Lossless"]
)
def test_compressed_syntaxes(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path, SCAN, GRID.affine)
    for path in tmp_path.iterdir():
        recompress(path, kind)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    assert_is_scan(read(tmp_path))


@pytest.mark.parametrize("kind", ["JPEG2000", "JPEGLSNearLossless"])
def test_lossy_syntaxes(tmp_path: Path, kind: str) -> None:
    wave = np.sin(np.linspace(0, 6, 64))
    scan = (800 * np.multiply.outer(wave, wave[:48])[:, :, None]).astype(np.int16)

    def twelve_bits(dataset: Dataset, k: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11

    write_series(tmp_path, scan, np.eye(4), SeriesSpec(edit=twelve_bits))
    recompress(tmp_path / "slice_001.dcm", kind)
    assert pydicom.dcmread(tmp_path / "slice_001.dcm").BitsStored == 12
    volume = read(tmp_path)
    assert np.abs(volume.values - scan).max() <= 2


@pytest.mark.parametrize(("bits", "syntax"), [(8, JPEGBaseline8Bit), (12, JPEGExtended12Bit), (16, JPEGLosslessSV1)])
def test_jpeg_of_all_depths(tmp_path: Path, bits: int, syntax: str) -> None:
    stored = (np.add.outer(np.arange(48) * 2.0, np.arange(64)) * (2**bits - 1) / 157).astype(np.uint16)
    image = stored.astype(np.uint8) if bits == 8 else stored
    packed = imagecodecs.jpeg8_encode(image, level=98, lossless=bits == 16, bitspersample=bits)

    def pack(dataset: Dataset, k: int) -> None:
        dataset.Rows, dataset.Columns = stored.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 if bits == 8 else 16, bits, bits - 1
        dataset.PixelData = pydicom.encaps.encapsulate([packed])
        dataset["PixelData"].VR = "OB"

    volume = read(write_series(tmp_path, SCAN[:, :, :1], GRID.affine, SeriesSpec(syntax=syntax, edit=pack)))
    tolerance = {8: 3, 12: 40, 16: 0}[bits]
    assert np.abs(volume.values[:, :, 0].T + 1024 - stored).max() <= tolerance


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_compressed_signed_pixels(tmp_path: Path, kind: str) -> None:
    def bits(dataset: Dataset, k: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11

    write_series(tmp_path, SCAN, GRID.affine, SeriesSpec(signed=True, intercept=0.0, edit=bits))
    for path in tmp_path.iterdir():
        recompress(path, kind)
    assert_is_scan(read(tmp_path))


def test_a_frame_of_another_size_than_its_header(tmp_path: Path) -> None:
    write_series(tmp_path, SCAN, GRID.affine)
    path = tmp_path / "slice_004.dcm"
    recompress(path, "JPEGLosslessProcess14_1")
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pydicom.encaps.encapsulate(
        [imagecodecs.jpeg8_encode(np.zeros((4, 4), np.uint16), lossless=True)]
    )
    dataset.save_as(path)
    with pytest.raises(UnreadableFileError, match=r"slice_004\.dcm"):
        read(tmp_path)


def test_rle(tmp_path: Path) -> None:
    write_series(tmp_path, SCAN, GRID.affine)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    assert_is_scan(read(tmp_path))


def test_without_preamble_and_meta_header(tmp_path: Path) -> None:
    write_series(tmp_path, SCAN, GRID.affine, SeriesSpec(syntax=ImplicitVRLittleEndian))
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    assert_is_scan(read(tmp_path))


def test_rescale_of_each_slice(tmp_path: Path) -> None:
    def vary(dataset: Dataset, k: int) -> None:
        slope, intercept = 1.0 + k, -1024.0 - 8 * k
        stored = np.round((SCAN[:, :, k].T - intercept) / slope)
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(intercept)
        dataset.PixelData = stored.astype(np.uint16).tobytes()

    volume = read(write_series(tmp_path, SCAN, GRID.affine, SeriesSpec(edit=vary)))
    assert np.abs(volume.values - SCAN).max() <= GRID.shape[2] / 2


def test_padding_becomes_air_but_a_stale_padding_value_does_not(tmp_path: Path) -> None:
    def pad(dataset: Dataset, k: int) -> None:
        stored = np.frombuffer(dataset.PixelData, np.int16).reshape(dataset.Rows, dataset.Columns).copy()
        stored[0, :] = -2000
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", -2000)

    spec = SeriesSpec(signed=True, intercept=-24.0, edit=pad)
    volume = read(write_series(tmp_path / "padded", SCAN, GRID.affine, spec))
    assert np.all(volume.values[:, 0, :] == -1024.0)
    assert np.array_equal(volume.values[:, 1:], SCAN[:, 1:].astype(np.float32))

    def stale(dataset: Dataset, k: int) -> None:
        dataset.add_new("PixelPaddingValue", "US", 224)

    assert_is_scan(read(write_series(tmp_path / "stale", SCAN, GRID.affine, SeriesSpec(edit=stale))))


def test_monochrome1_changes_only_the_display(tmp_path: Path) -> None:
    spec = SeriesSpec(tags={"PhotometricInterpretation": "MONOCHROME1"})
    assert_is_scan(read(write_series(tmp_path, SCAN, GRID.affine, spec)))


def test_missing_rescale_is_told(tmp_path: Path) -> None:
    tags = {"RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
    volume = read(write_series(tmp_path, SCAN, GRID.affine, SeriesSpec(tags=tags)))
    assert codes(volume) == ["no-rescale"]
    assert np.array_equal(volume.values, SCAN.astype(np.float32) + 1024)


def test_values_that_are_not_hu_are_told(tmp_path: Path) -> None:
    volume = read(write_series(tmp_path, SCAN, GRID.affine, SeriesSpec(tags={"RescaleType": "Z_EFF"})))
    assert codes(volume) == ["not-hu-units"]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS[3::15])
def test_enhanced_multi_frame(tmp_path: Path, axes: tuple[int, ...], flips: tuple[bool, ...], syntax: str) -> None:
    path = write_enhanced(tmp_path / "ct.dcm", *turned(SCAN, GRID.affine, axes, flips), SeriesSpec(syntax=syntax))
    volume = read(path)
    assert_is_scan(volume)
    assert volume.source.details["kernel"] == "B70f"
    assert volume.source.details["slice_thickness_mm"]


def test_compressed_multi_frame(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "ct.dcm", SCAN, GRID.affine)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    assert_is_scan(read(path))


def test_gantry_tilt_stays_in_the_affine(tmp_path: Path) -> None:
    affine = GRID.affine @ rotation((0.0, 0.0, 0.0))
    affine[1, 2] = 2.5 * np.tan(np.radians(15.0))
    volume = read(write_series(tmp_path, SCAN, affine))
    assert codes(volume) == ["gantry-tilt"]
    assert "15.0 degrees" in volume.findings[0].text
    assert np.allclose(volume.geometry.affine, affine, atol=1e-5)
    assert volume.geometry.voxel_ml == pytest.approx(GRID.voxel_ml, rel=1e-6)


def test_a_copied_slice_is_used_once(tmp_path: Path) -> None:
    write_series(tmp_path, SCAN, GRID.affine)
    shutil.copy(tmp_path / "slice_004.dcm", tmp_path / "copy of slice_004.dcm")
    volume = read(tmp_path)
    assert_is_scan(volume)
    assert codes(volume) == ["duplicate-slices"]
    assert "slice_004.dcm" in volume.findings[0].text


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    scan, affine = long_scan()
    write_series(tmp_path, scan, affine, SeriesSpec(uid="1.2.3"))
    other = affine.copy()
    other[2, 3] = 6.0
    write_series(tmp_path, scan[:, :, :1] + 300, other, SeriesSpec(uid="1.2.3", prefix="other"))
    with pytest.raises(SeriesError, match=r"two different images at the same place.*6\.00 mm.*6\.00 mm"):
        read(tmp_path)


def test_missing_slices_are_named_then_interpolated(tmp_path: Path) -> None:
    scan, affine = long_scan()
    write_series(tmp_path, scan, affine, SeriesSpec(skip={4, 9, 10}))
    message = r"3 slices missing .*slice_011\.dcm \(6\.00 mm\) and slice_009\.dcm \(10\.00 mm\) \(1 missing\)"
    with pytest.raises(SeriesError, match=message) as caught:
        read(tmp_path)
    assert "--allow-irregular" in str(caught.value)
    assert "(2 missing)" in str(caught.value)
    volume = read(tmp_path, allow_irregular=True)
    assert codes(volume) == ["slices-interpolated"]
    assert np.allclose(volume.values, scan)
    assert volume.geometry.spacing == pytest.approx((1.0, 1.5, 2.0))


def test_uneven_steps_are_interpolated_only_when_asked(tmp_path: Path) -> None:
    scan, affine = long_scan()

    def shift(dataset: Dataset, k: int) -> None:
        if k == 6:
            dataset.ImagePositionPatient = [0, 0, 12.9]

    write_series(tmp_path, scan, affine, SeriesSpec(edit=shift))
    with pytest.raises(SeriesError, match=r"steps between slices are uneven .*step 2\.9 mm"):
        read(tmp_path)
    volume = read(tmp_path, allow_irregular=True)
    assert volume.geometry.shape == scan.shape
    between = scan[3, 3, 5] + (scan[3, 3, 6] - scan[3, 3, 5]) * 2.0 / 2.9
    assert volume.values[-4, -4, 6] == pytest.approx(between, abs=0.01)


def test_a_step_that_changes_halfway_is_uneven(tmp_path: Path) -> None:
    scan, affine = long_scan(20)

    def stretch(dataset: Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [0, 0, 2.0 * k if k < 10 else 20.0 + 5.0 * (k - 10)]

    write_series(tmp_path, scan, affine, SeriesSpec(edit=stretch))
    with pytest.raises(SeriesError, match="uneven"):
        read(tmp_path)


def test_rounded_positions_are_even_enough(tmp_path: Path) -> None:
    scan, affine = long_scan()

    def rounded(dataset: Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [0, 0, round(k * 0.6251, 1)]

    affine[2, 2] = 0.6251
    volume = read(write_series(tmp_path, scan, affine, SeriesSpec(edit=rounded)))
    assert volume.geometry.spacing[2] == pytest.approx(0.625, abs=0.01)


def test_slices_shifted_sideways_are_refused(tmp_path: Path) -> None:
    scan, affine = long_scan()

    def shift(dataset: Dataset, k: int) -> None:
        if k > 7:
            dataset.ImagePositionPatient = [30, 0, 2 * k]

    write_series(tmp_path, scan, affine, SeriesSpec(edit=shift))
    with pytest.raises(SeriesError, match="shifted sideways"):
        read(tmp_path, allow_irregular=True)


def _study(folder: Path) -> Path:
    """Two thorax reconstructions, a scout, a screenshot and a short series."""
    scan, affine = long_scan()
    write_series(folder / "a", scan, affine, SeriesSpec(number=2, uid="1.2.826.77.200001"))
    tags = {"SeriesDescription": f"Lung {PATIENT} {PATIENT_ID} 19640229 B60"}
    write_series(folder / "b", scan, affine, SeriesSpec(number=3, uid="1.2.826.77.300002", tags=tags))
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_series(folder / "c", scan[:, :, :1], affine, SeriesSpec(number=1, tags=scout))
    capture = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CT"}
    write_series(folder / "d", scan[:, :, :1], affine, SeriesSpec(number=99, tags=capture))
    write_series(folder / "e", scan[:, :, :3], affine, SeriesSpec(number=5))
    (folder / "DICOMDIR").write_bytes(b"not looked at")
    (folder / "readme.txt").write_text("a viewer is on this disk")
    return folder


def test_several_series_are_listed_without_identity(tmp_path: Path) -> None:
    with pytest.raises(SeveralSeriesError) as caught:
        read(_study(tmp_path))
    message = str(caught.value)
    assert "--series" in message
    assert "3  CT, 14 slices of 9x8, 2 mm, Lung B60, UID ...300002" in message
    assert "3 CT series" in message
    for secret in ("Mustermann", "Erika", "4711", "SECRET", "1964"):
        assert secret not in message


@pytest.mark.parametrize("wanted", ["3", "300002", "0002"])
def test_a_series_is_chosen_by_number_or_uid(tmp_path: Path, wanted: str) -> None:
    volume = read(_study(tmp_path), series=wanted)
    assert volume.geometry.shape == (9, 8, 14)
    assert codes(volume) == []


def test_a_wrong_choice_is_answered_with_the_list(tmp_path: Path) -> None:
    _study(tmp_path)
    with pytest.raises(InputNotFoundError, match="no series 42; expected one of"):
        read(tmp_path, series="42")
    with pytest.raises(NotCTError, match="series 1 is not a CT volume but: localizer"):
        read(tmp_path, series="1")


def test_the_clear_main_series_is_taken_and_the_others_told(tmp_path: Path) -> None:
    shutil.rmtree(_study(tmp_path) / "b")
    volume = read(tmp_path)
    assert volume.geometry.shape == (9, 8, 14)
    assert codes(volume) == ["other-series"]
    assert "localizer" in volume.findings[0].text
    assert "secondary capture" in volume.findings[0].text


def test_axial_is_preferred_to_reformats(tmp_path: Path) -> None:
    scan, affine = long_scan()
    write_series(tmp_path / "axial", scan, affine, SeriesSpec(number=2))
    coronal = np.repeat(np.repeat(scan, 2, axis=1), 1, axis=0)
    write_series(tmp_path / "coronal", *turned(coronal, affine, (0, 2, 1), (False, True, False)), SeriesSpec(number=4))
    volume = read(tmp_path)
    assert volume.geometry.shape == scan.shape
    assert codes(volume) == ["other-series"]


def test_a_scout_inside_the_series_is_split_off(tmp_path: Path) -> None:
    scan, affine = long_scan()
    write_series(tmp_path, scan, affine, SeriesSpec(uid="1.2.3"))
    other, tilted = turned(scan[:, :, :1], affine, (0, 2, 1), (False, False, False))
    write_series(tmp_path, other, tilted, SeriesSpec(uid="1.2.3", prefix="scout"))
    volume = read(tmp_path)
    assert volume.geometry.shape == scan.shape
    assert [info.key for info in list_series(tmp_path)] == ["3.1", "3.2"]
    assert read(tmp_path, series="3.1").geometry.shape == scan.shape


def test_two_acquisitions_in_one_series_are_split(tmp_path: Path) -> None:
    scan, affine = long_scan()
    for number in (1, 2):
        spec = SeriesSpec(uid="1.2.3", prefix=f"phase{number}", tags={"AcquisitionNumber": number})
        write_series(tmp_path, scan + np.int16(number), affine, spec)
    with pytest.raises(SeveralSeriesError, match=r"2 CT series"):
        read(tmp_path)
    assert read(tmp_path, series="3.2").values[3, 3, 3] == read(tmp_path, series="3.1").values[3, 3, 3] + 1


def test_the_index_of_a_disk_stands_for_the_disk(tmp_path: Path) -> None:
    write_series(tmp_path / "disk" / "IMAGES", SCAN, GRID.affine)
    (tmp_path / "disk" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    volume = read(tmp_path / "disk" / "DICOMDIR")
    assert_is_scan(volume)
    assert volume.source.case == "disk"


def test_list_series(tmp_path: Path) -> None:
    infos = list_series(_study(tmp_path))
    assert [(info.key, info.kind, info.slices) for info in infos] == [
        ("1", "localizer", 1),
        ("2", "CT", 14),
        ("3", "CT", 14),
        ("5", "CT", 3),
        ("99", "secondary capture", 1),
    ]
    assert infos[2].description == "Lung B60"
    assert infos[1].thickness_mm == 2.0


def test_a_zip_reads_like_its_folder(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", SCAN, GRID.affine)
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (tmp_path / "dicom").iterdir():
            archive.write(path, f"deep/er/{path.name}")
    volume = read(packed)
    assert_is_scan(volume)
    assert volume.source.case == "study"
    assert len(list_series(packed)) == 1


def test_a_single_file_is_one_slice(tmp_path: Path) -> None:
    write_series(tmp_path, SCAN, GRID.affine)
    volume = read(tmp_path / "slice_009.dcm")
    assert volume.geometry.shape == (13, 11, 1)
    assert volume.geometry.spacing == pytest.approx(GRID.spacing)
    assert codes(volume) == ["single-slice"]


def test_nothing_of_the_patient_goes_further(tmp_path: Path) -> None:
    volume = read(write_series(tmp_path / "in", SCAN, GRID.affine))
    told = repr(volume.source) + repr(volume.findings)
    for secret in ("Mustermann", "Erika", "4711", "1964", "1.2.826"):
        assert secret not in told
    assert volume.source.case == "in"
    assert volume.source.details == {
        "modality": "CT",
        "manufacturer": "Phantom",
        "model": "Writer 1",
        "kernel": "B70f",
        "slice_thickness_mm": "2.5",
        "kvp": "120",
        "contrast": "not stated",
        "transfer_syntax": "Explicit VR Little Endian",
    }


def test_damaged_files_are_named_beside_the_gap_they_leave(tmp_path: Path) -> None:
    scan, affine = long_scan()
    write_series(tmp_path, scan, affine)
    (tmp_path / "slice_008.dcm").write_bytes(b"\x93encrypted" * 40)
    with pytest.raises(SeriesError, match=r"1 slice missing.*damaged or encrypted\): slice_008\.dcm"):
        read(tmp_path)
    assert codes(read(tmp_path, allow_irregular=True)) == ["unreadable-files", "slices-interpolated"]


def test_progress_is_reported(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    read(write_series(tmp_path, SCAN, GRID.affine), progress=lambda *step: steps.append(step))
    assert steps[0] == ("read", 0, 9)
    assert steps[-1] == ("read", 9, 9)
