"""The main job on a synthetic chest: every way in, every orientation, and what is left in the folder."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import cv2
import jsonschema
import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

import groundglass as gg
from groundglass.analysis import Analysis
from groundglass.inference.scan import Networks
from groundglass.io.convert import from_array
from groundglass.phantom import compare_with_truth
from groundglass.result import AnalysisResult, PictureResult
from tests.support.thorax import small_chest, thorax_file

SCHEMA = Path(gg.__file__).parent / "schema" / "analysis.schema.json"
# Every direction of the three axes: all 48 axis orientations.
ORIENTATIONS = ["".join(codes) for axes in permutations(("RL", "AP", "SI")) for codes in product(*axes)]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.load()


@pytest.fixture(scope="module")
def result(networks: Networks) -> AnalysisResult:
    return as_scan(gg.analyze(small_chest().volume, networks=networks))


def as_scan(result: AnalysisResult | PictureResult) -> AnalysisResult:
    assert isinstance(result, AnalysisResult)
    return result


def test_the_result_is_near_the_truth(result: AnalysisResult) -> None:
    truth = compare_with_truth(small_chest(), result.lungs, result.infection)
    assert truth.lungs_dice > 0.9
    assert truth.right_lung_dice > 0.9
    assert truth.left_lung_dice > 0.85
    assert truth.infection_dice > 0.5
    assert not any(finding.severity == "error" for finding in result.findings)


def test_the_numbers_belong_to_the_masks(result: AnalysisResult) -> None:
    numbers, ml = result.measurements, result.lungs.geometry.voxel_ml
    right, left = (np.count_nonzero(result.lungs.labels == label) * ml for label in (1, 2))
    infected = np.count_nonzero(result.infection.labels) * ml
    assert numbers.lung_volume_ml.right == pytest.approx(right)
    assert numbers.lung_volume_ml.left == pytest.approx(left)
    assert numbers.involvement_percent.total == pytest.approx(100 * infected / (right + left))
    assert not np.any(result.infection.labels[result.lungs.labels == 0])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_48_orientations_give_the_same_masks_in_the_patient(
    orientation: str, tmp_path: Path, networks: Networks, result: AnalysisResult
) -> None:
    """Masks are written on the file's own grid; a second reader finds the same label at the same world point."""
    path = thorax_file(tmp_path, orientation=orientation)
    again = as_scan(gg.analyze(path, networks=networks))
    assert again.analysis.source.orientation == orientation
    lungs = again.lungs.to_nibabel()
    original = nibabel.load(path)
    np.testing.assert_allclose(lungs.affine, original.affine, atol=1e-4)
    assert lungs.shape == original.shape
    assert "".join(nibabel.aff2axcodes(lungs.affine)) == orientation
    expected = label_at_points(result.lungs.labels, result.volume.geometry.affine)
    found = label_at_points(np.asarray(lungs.dataobj), lungs.affine)
    np.testing.assert_array_equal(found, expected)
    assert set(expected) == {0, 1, 2}


def read_png(path: Path) -> NDArray[np.uint8]:
    """The pixels of a PNG as they are stored."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), dtype=np.uint8)


def label_at_points(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Labels at fixed world points all over the chest."""
    grid = small_chest().volume.geometry
    index = np.stack(np.meshgrid(*[np.arange(3, size, 7) for size in grid.shape], indexing="ij"), -1).reshape(-1, 3)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    place = np.rint(np.linalg.solve(affine[:3, :3], (world - affine[:3, 3]).T).T).astype(int)
    return np.asarray(labels[tuple(place.T)], dtype=np.uint8)


def test_oblique_scans_keep_their_affine(tmp_path: Path, networks: Networks, result: AnalysisResult) -> None:
    angle = np.deg2rad(9.0)
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    affine = turn @ small_chest().volume.geometry.affine
    oblique = as_scan(gg.analyze(small_chest().volume.values, affine=affine, networks=networks))
    case = oblique.save(tmp_path)
    written = SimpleITK.ReadImage(str(case / "lungs.nii.gz"))
    point = affine @ [40, 80, 30, 1]
    index = written.TransformPhysicalPointToIndex((-point[0], -point[1], point[2]))
    assert index == (40, 80, 30)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).transpose(2, 1, 0), oblique.lungs.labels)
    np.testing.assert_array_equal(oblique.lungs.labels, result.lungs.labels)


def test_every_door_leads_to_the_same_result(tmp_path: Path, networks: Networks) -> None:
    path = thorax_file(tmp_path, orientation="LPS")
    image = nibabel.load(path)
    doors = {
        "path": gg.analyze(path, networks=networks),
        "nibabel": gg.analyze(image, networks=networks),
        "simpleitk": gg.analyze(SimpleITK.ReadImage(str(path)), networks=networks),
        "array": gg.analyze(np.asarray(image.dataobj), affine=image.affine, networks=networks),
    }
    masks = {name: as_scan(one).infection for name, one in doors.items()}
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask.labels, masks["path"].labels, err_msg=name)
        assert mask.geometry.matches(masks["path"].geometry, tolerance_mm=0.01), name


def test_the_folder_holds_the_contract(tmp_path: Path, networks: Networks) -> None:
    options = gg.AnalysisOptions(probability=True)
    case = gg.analyze(thorax_file(tmp_path), options=options, networks=networks).save(tmp_path / "out")
    assert case == tmp_path / "out" / "thorax"
    assert sorted(path.name for path in case.iterdir()) == [
        "analysis.json",
        "attention.png",
        "infection.nii.gz",
        "infection_probability.nii.gz",
        "lungs.nii.gz",
        "overlay.png",
        "report.html",
    ]
    record = json.loads((case / "analysis.json").read_text())
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))
    assert Analysis.from_json((case / "analysis.json").read_bytes()).case == "thorax"
    assert {"read", "check", "network", "lungs", "infection", "measure", "report", "write"} <= set(
        record["run"]["seconds"]
    )
    assert record["run"]["models"][0]["sha256"] == networks.segmenter.card.sha256
    assert record["run"]["peak_memory_mb"] > 50
    assert read_png(case / "overlay.png").shape[2] == 3
    assert "Not a medical device" in (case / "report.html").read_text()


def test_grey_volumes_get_millilitres_but_no_hounsfield_units(networks: Networks) -> None:
    volume = small_chest().volume
    grey = np.clip((volume.values + 1250.0) / 1500.0 * 255.0, 0, 255)
    result = as_scan(gg.analyze(np.rint(grey), affine=volume.geometry.affine, networks=networks))
    assert result.analysis.source.units == "grey"
    assert result.measurements.mean_lung_hu is None
    assert result.measurements.hu_histogram is None
    assert result.measurements.subtype_method == "network"
    assert result.measurements.lung_volume_ml.total == pytest.approx(small_chest_lungs_ml(), rel=0.15)


def small_chest_lungs_ml() -> float:
    return sum(small_chest().lungs.volume_ml(label) for label in (1, 2))


@pytest.mark.parametrize("what", ["air", "noise", "water"])
def test_lung_free_scans_end_without_lungs(what: str, networks: Networks) -> None:
    shape = (96, 96, 24)
    noise = np.random.default_rng(3).normal(0.0, 300.0, shape).astype(np.float32)
    scan = {"air": np.full(shape, -1000.0), "noise": noise, "water": 0.05 * noise}[what]
    result = as_scan(gg.analyze(scan, spacing=(3.0, 3.0, 5.0), networks=networks))
    assert "no-lungs" in {finding.code for finding in result.findings}
    assert not result.lungs.labels.any()
    assert result.measurements.involvement_percent.total is None


def test_pictures(tmp_path: Path, networks: Networks) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    volume = small_chest().volume
    sizes = {"a.png": 25, "b.jpg": 30, "c.png": 35}
    for name, z in sizes.items():
        grey = np.clip((volume.axial(z) + 1250.0) / 1500.0 * 255.0, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(grey, (300, 260)))
    result = gg.analyze(folder, networks=networks)
    assert isinstance(result, PictureResult)
    case = result.save(tmp_path / "out")
    record = json.loads((case / "analysis.json").read_text())
    assert [entry["file"] for entry in record["slices"]] == list(sizes)
    assert record["measurements"]["lung_volume_ml"]["total"] is None
    assert all(entry["measurements"]["involvement_percent"]["total"] is not None for entry in record["slices"])
    for kind in ("lungs", "infection"):
        names = sorted(path.name for path in (case / kind).iterdir())
        assert names == ["a.png", "b.png", "c.png"]
        mask = read_png(case / kind / "b.png")
        assert mask.shape == (260, 300)
        assert mask.dtype == np.uint8
    lungs = read_png(case / "lungs" / "b.png")
    columns = np.arange(300)
    right, left = ((lungs == label).sum(0) @ columns / (lungs == label).sum() for label in (1, 2))
    assert right < left, "the right lung is on the left side of the picture"


def test_pictures_of_one_name_keep_their_masks_apart(tmp_path: Path, networks: Networks) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    grey = np.clip((small_chest().volume.axial(30) + 1250.0) / 1500.0 * 255.0, 0, 255).astype(np.uint8)
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(folder / name), grey)
    case = gg.analyze(folder, networks=networks).save(tmp_path / "out")
    assert len(list((case / "lungs").iterdir())) == 2


def test_doctor_runs_no_network(tmp_path: Path) -> None:
    report = gg.doctor(from_array(small_chest().volume.values + 1024.0, affine=small_chest().volume.geometry.affine))
    assert "hu-shifted" in {finding.code for finding in report.findings}
    assert report.usable
