"""DICOM results: right codes, right study, right place, and the validators agree."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from groundglass.errors import GeometryMismatchError, OptionError, SeveralSeriesError, UnsupportedFormatError
from groundglass.export.case import load_case
from groundglass.export.dicom_seg import read_segmentation
from groundglass.export.dicom_source import dicom_source
from groundglass.export.targets import DICOM_TARGETS, export_case
from groundglass.geometry import Geometry
from tests.support.dicom import SeriesSpec, write_enhanced, write_series
from tests.support.finished import FRAME, SECRETS, SERIES, SHAPE, STUDY, Made, chest, finished, grid
from tests.support.volumes import rotation

SHEAR = np.array([[1, 0, 0, 0], [0, 1, 0.2, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
AXES = {
    "axial": np.eye(4),
    "feet first": np.diag([-1.0, 1.0, -1.0, 1.0]),
    "prone": np.diag([-1.0, -1.0, 1.0, 1.0]),
    "coronal": np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]),
    "sagittal": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]),
    "mirrored": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "oblique": rotation((12.0, -7.0, 20.0)),
    "tilted": SHEAR,
}


def seg_of(made: Made, folder: Path, source: Path | None = None) -> Path:
    export_case(load_case(made.folder), ["dicom-seg"], folder, source=source or made.series)
    return folder / "segmentation.dcm"


@pytest.mark.parametrize("name", AXES)
def test_a_segmentation_returns_voxel_by_voxel_and_lies_where_the_scan_lies(name: str, tmp_path: Path) -> None:
    affine = grid(AXES[name])
    case = finished(tmp_path, affine=affine)
    path = seg_of(case, tmp_path / "dicom")
    lungs, infection = read_segmentation(path)
    assert np.array_equal(lungs.labels, case.result.lungs.labels)
    assert np.array_equal(infection.labels, case.result.infection.labels)
    assert lungs.geometry.matches(case.result.lungs.geometry, tolerance_mm=0.01)
    check_points_in_patient(path, affine)


def check_points_in_patient(path: Path, affine: np.ndarray) -> None:
    """The centre of each segment by the file's own attributes, against the truth in the patient."""
    dataset = pydicom.dcmread(path)
    frames = dataset.pixel_array
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    cosines = np.array(dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient)
    _, lungs, infection = chest(SHAPE, affine)
    for number, truth in enumerate((lungs == 1, lungs == 2, infection == 1, infection == 2), start=1):
        points = []
        for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
            if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
                continue
            rows, columns = np.nonzero(frame)
            place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
            across = np.outer(columns * float(measures.PixelSpacing[1]), cosines[:3])
            points.append(place + across + np.outer(rows * float(measures.PixelSpacing[0]), cosines[3:]))
        found = np.concatenate(points).mean(axis=0) * (-1, -1, 1)
        wanted = Geometry(SHAPE, affine).world(np.argwhere(truth)).mean(axis=0)
        assert np.abs(found - wanted).max() < 0.01


def test_segments_are_coded_coloured_and_complete(dicom_files: Path, made: Made) -> None:
    seg = pydicom.dcmread(dicom_files / "segmentation.dcm")
    described = [
        (item.SegmentLabel, item.SegmentedPropertyTypeCodeSequence[0].CodeValue) for item in seg.SegmentSequence
    ]
    assert described == [
        ("Right lung", "39607008"),
        ("Left lung", "39607008"),
        ("Ground-glass opacity", "112120"),
        ("Consolidation", "95436008"),
    ]
    right = seg.SegmentSequence[0]
    modifier = right.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert modifier.CodeMeaning == "Right"
    assert len({tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence}) == 4
    assert "lungs-infection" in right.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName
    assert right.SegmentAlgorithmType == "AUTOMATIC"
    assert seg.NumberOfFrames == 4 * SHAPE[2], "empty frames are kept"


def test_results_join_the_study_in_series_of_their_own(dicom_files: Path) -> None:
    paths = sorted(dicom_files.rglob("*.dcm"))
    datasets = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert {item.StudyInstanceUID for item in datasets} == {STUDY}
    assert {str(item.PatientName) for item in datasets} == {SECRETS["PatientName"]}
    assert {item.PatientID for item in datasets} == {SECRETS["PatientID"]}
    assert len({item.SOPInstanceUID for item in datasets}) == len(datasets)
    series = {item.SeriesInstanceUID: item for item in datasets}
    assert len(series) == len(DICOM_TARGETS)
    assert SERIES.uid not in series
    assert len({item.SeriesNumber for item in series.values()}) == len(DICOM_TARGETS)
    assert all(item.SeriesDescription.startswith("Groundglass") for item in series.values())
    seg = next(item for item in datasets if item.Modality == "SEG")
    assert seg.FrameOfReferenceUID == FRAME
    assert seg.SoftwareVersions


def test_the_report_holds_the_numbers_and_refers_to_segments_and_images(dicom_files: Path, made: Made) -> None:
    report = highdicom.sr.srread(dicom_files / "measurements.dcm")
    seg = pydicom.dcmread(dicom_files / "segmentation.dcm", stop_before_pixels=True)
    groups = report.content.get_volumetric_roi_measurement_groups()
    referred = [group.referenced_segment[0].ReferencedSOPSequence[0] for group in groups]
    assert [int(item.ReferencedSegmentNumber) for item in referred] == [1, 2, 3, 4]
    assert {item.ReferencedSOPInstanceUID for item in referred} == {seg.SOPInstanceUID}
    volumes = [
        next(float(item.value) for item in group.get_measurements() if item.name.meaning == "Volume")
        for group in groups
    ]
    numbers = made.result.measurements
    expected = [
        numbers.lung_volume_ml.right,
        numbers.lung_volume_ml.left,
        numbers.infection_volume_ml.ground_glass,
        numbers.infection_volume_ml.consolidation,
    ]
    assert volumes == pytest.approx(expected, abs=0.006)
    whole = report.content.get_image_measurement_groups()
    both = next(group for group in whole if group.tracking_identifier == "Both lungs")
    found = {item.name.meaning: float(item.value) for item in both.get_measurements()}
    units = {item.name.meaning: item.unit.value for item in both.get_measurements()}
    assert found["Infected share of the lung"] == pytest.approx(numbers.involvement_percent.total, abs=0.006)
    assert found["Attenuation Coefficient"] == pytest.approx(numbers.mean_lung_hu, abs=0.006)
    assert found["Zonal severity score, 0 to 24"] == numbers.zonal_severity_score
    assert (units["Infected share of the lung"], units["Attenuation Coefficient"]) == ("%", "[hnsf'U]")
    assert sum(str(group.tracking_identifier).startswith("Zone") for group in whole) == 6
    evidence = str(report.CurrentRequestedProcedureEvidenceSequence)
    assert seg.SOPInstanceUID in evidence
    images = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in made.series.iterdir()]
    assert all(uid in evidence for uid in images)


def test_pictures_show_the_slices_with_lung_from_head_to_feet(dicom_files: Path, made: Made) -> None:
    paths = sorted((dicom_files / "overlays").iterdir())
    with_lung = int(made.result.lungs.labels.any(axis=(0, 1)).sum())
    assert len(paths) == with_lung + 1
    first, second, last = (pydicom.dcmread(path) for path in (paths[0], paths[1], paths[-1]))
    assert first.pixel_array.shape[2] == second.pixel_array.shape[2] == 3
    by_uid = {}
    for path in made.series.iterdir():
        image = pydicom.dcmread(path, stop_before_pixels=True)
        by_uid[image.SOPInstanceUID] = float(image.ImagePositionPatient[2])
    heights = [by_uid[item.SourceImageSequence[0].ReferencedSOPInstanceUID] for item in (second, last)]
    assert heights[0] > heights[1]
    assert list(second.PatientOrientation) == ["L", "P"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(dicom_files: Path) -> None:
    paths = [*dicom_files.glob("*.dcm"), *sorted((dicom_files / "overlays").iterdir())[:2]]
    for path in paths:
        run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        said = run.stdout + run.stderr
        assert "Error" not in said, f"{path.name}: {said}"


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
def test_dcmtk_reads_every_file(dicom_files: Path) -> None:
    for path in dicom_files.glob("*.dcm"):
        subprocess.run(["dcmdump", str(path)], capture_output=True, check=True)
    run = subprocess.run(
        ["dsrdump", "+Pc", str(dicom_files / "measurements.dcm")], capture_output=True, text=True, check=True
    )
    assert "Imaging Measurement Report" in run.stdout
    assert not [line for line in run.stderr.splitlines() if line.startswith("E:")]


def test_another_scan_is_refused(made: Made, tmp_path: Path) -> None:
    shifted = grid()
    shifted[0, 3] += 4.0
    hu, _, _ = chest(SHAPE, shifted)
    write_series(tmp_path / "shifted", hu, shifted, SERIES)
    with pytest.raises(GeometryMismatchError, match="not the series that was analyzed"):
        seg_of(made, tmp_path / "out", tmp_path / "shifted")
    hu, _, _ = chest(SHAPE, grid())
    write_series(tmp_path / "denser", hu + np.int16(25), grid(), SERIES)
    with pytest.raises(GeometryMismatchError, match="another scan"):
        seg_of(made, tmp_path / "out", tmp_path / "denser")
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_of_several_series_the_one_on_the_grid_is_taken(made: Made, tmp_path: Path) -> None:
    study = tmp_path / "study"
    hu, _, _ = chest(SHAPE, grid())
    write_series(study / "a", hu, grid(), SERIES)
    other = grid(rotation((0.0, 0.0, 30.0)))
    write_series(study / "b", hu, other, SeriesSpec(tags=SERIES.tags, number=8))
    lungs, _ = read_segmentation(seg_of(made, tmp_path / "one", study))
    assert np.array_equal(lungs.labels, made.result.lungs.labels)
    write_series(study / "c", hu, grid(), SeriesSpec(tags=SERIES.tags, number=9))
    with pytest.raises(SeveralSeriesError, match="choose one with --series"):
        seg_of(made, tmp_path / "two", study)
    case = load_case(made.folder)
    with dicom_source(study, case, series="9") as source:
        assert source.reference.SeriesNumber == 9


def test_a_zip_and_a_multi_frame_image_are_sources_too(made: Made, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for path in made.series.iterdir():
            archive.write(path, path.name)
    lungs, _ = read_segmentation(seg_of(made, tmp_path / "zip", tmp_path / "scan.zip"))
    assert np.array_equal(lungs.labels, made.result.lungs.labels)
    hu, _, _ = chest(SHAPE, grid())
    enhanced = write_enhanced(tmp_path / "enhanced.dcm", hu, grid(), SERIES)
    lungs, infection = read_segmentation(seg_of(made, tmp_path / "frames", enhanced))
    assert np.array_equal(lungs.labels, made.result.lungs.labels)
    assert np.array_equal(infection.labels, made.result.infection.labels)


def test_a_series_with_gaps_gives_a_segmentation_on_the_filled_grid(tmp_path: Path) -> None:
    spec = SeriesSpec(uid=SERIES.uid, tags=SERIES.tags, skip=(9,))
    case = finished(tmp_path, spec=spec, allow_irregular=True)
    lungs, infection = read_segmentation(seg_of(case, tmp_path / "dicom"))
    assert np.array_equal(lungs.labels, case.result.lungs.labels)
    assert np.array_equal(infection.labels, case.result.infection.labels)


def test_without_a_source_or_without_dicom_there_is_a_clear_error(made: Made, tmp_path: Path) -> None:
    case = load_case(made.folder)
    with pytest.raises(OptionError, match="--source"):
        export_case(case, ["dicom-seg"], tmp_path)
    text = (made.folder / "analysis.json").read_text().replace('"format": "dicom"', '"format": "nifti"')
    shutil.copytree(made.folder, tmp_path / "nifti")
    (tmp_path / "nifti" / "analysis.json").write_text(text)
    with pytest.raises(UnsupportedFormatError, match="made from nifti"):
        export_case(load_case(tmp_path / "nifti"), ["dicom-sr"], tmp_path / "out", source=made.series)
    with pytest.raises(UnsupportedFormatError, match="not a DICOM segmentation"):
        read_segmentation(next(made.series.iterdir()))
