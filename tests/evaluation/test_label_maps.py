"""Label maps: odd values are refused, and headers that are wrong can be left out of account."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.evaluation.cases import LabelledCase, load_image, load_truth
from groundglass.evaluation.collect import Scoring, score_case
from groundglass.evaluation.label_maps import read_labels
from groundglass.evaluation.layouts import read_data
from groundglass.evaluation.predict import FolderPredictor
from groundglass.evaluation.structures import INFECTION, LUNGS

SHAPE = (9, 12, 7)
AFFINE = np.array([[1.0, 0, 0, -40], [0, 1.5, 0, -70], [0, 0, 2.5, 30], [0, 0, 0, 1]])
ORIENTATIONS = ("RAS", "LPS", "LAS", "PSR", "IRA", "ASL")


def lungs() -> NDArray[np.uint8]:
    """A mask (x, y, z) in RAS+ order that no flip and no turn maps onto itself."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:9, 1:5] = 1
    labels[6:8, 3:6, 2:6] = 2
    labels[2, 9:11, 1] = 1
    return labels


def stored(array: NDArray[np.generic], orientation: str) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """An array in RAS+ order as a file of another orientation holds it, with the affine that says so."""
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple(orientation)))
    return nibabel.apply_orientation(array, turn), AFFINE @ inv_ornt_aff(turn, array.shape)


def save(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def scan_with_wrong_headers(folder: Path, orientation: str) -> LabelledCase:
    """A case whose voxels lie in the order of its scan, while the mask's header says nothing true."""
    values, affine = stored(np.where(lungs(), -800, 40).astype(np.int16), orientation)
    save(folder / "case" / "ct.nii.gz", values, affine)
    save(folder / "case" / "lungs.nii.gz", stored(lungs(), orientation)[0], np.eye(4))
    return read_data(folder).cases[0]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_voxel_by_voxel_is_in_the_order_of_the_files(orientation: str, tmp_path: Path) -> None:
    case = scan_with_wrong_headers(tmp_path / "data", orientation)
    image = load_image(case)
    assert image.scan is not None
    read = load_truth(case, [LUNGS], image, same_voxels=True)
    for z, plane in enumerate(read.planes["lungs"]):
        np.testing.assert_array_equal(plane, lungs()[::-1, ::-1, z].T > 0)
    assert read.spacing_mm == (1.5, 1.0, 2.5)
    assert read.geometry is not None
    assert image.scan.geometry.matches(read.geometry)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("header", ["true", "mirrored", "none"])
def test_masks_with_wrong_headers_are_scored_as_they_lie(header: str, orientation: str, tmp_path: Path) -> None:
    case = scan_with_wrong_headers(tmp_path / "data", orientation)
    labels, affine = stored(lungs(), orientation)
    # The mirrored header covers the same place as the true one, so that only its direction is wrong.
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    turn[0, 3] = labels.shape[0] - 1
    save(
        tmp_path / "found" / "case" / "lungs.nii.gz",
        labels,
        {"true": affine, "mirrored": affine @ turn, "none": np.eye(4)}[header],
    )
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), same_voxels=True)
    score, _ = score_case(case, predictor, Scoring((LUNGS,), surfaces=False, same_voxels=True))
    assert score.structures[0].scores.dice == 1.0
    assert score.structures[0].truth_ml == pytest.approx(np.count_nonzero(lungs()) * 0.00375)


def test_masks_alone_are_compared_as_they_lie(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "a.nii.gz", *stored(lungs(), "LPS"))
    save(tmp_path / "found" / "a.nii.gz", stored(lungs(), "LPS")[0], np.eye(4))
    (case,) = read_data(tmp_path / "truth", structure="lungs").cases
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), same_voxels=True)
    score, _ = score_case(case, predictor, Scoring((LUNGS,), surfaces=False, same_voxels=True))
    assert score.structures[0].scores.dice == 1.0
    with pytest.raises(GeometryMismatchError, match="--same-voxels"):
        score_case(case, FolderPredictor(tmp_path / "found", (LUNGS,)), Scoring((LUNGS,), surfaces=False))


def test_other_sizes_never_fit(tmp_path: Path) -> None:
    case = scan_with_wrong_headers(tmp_path / "data", "LPS")
    save(tmp_path / "found" / "case" / "lungs.nii.gz", lungs()[:, :, :-1], AFFINE)
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), same_voxels=True)
    with pytest.raises(GeometryMismatchError, match="resample one onto the other"):
        score_case(case, predictor, Scoring((LUNGS,), surfaces=False, same_voxels=True))


@pytest.mark.parametrize("orientation", ["LPS", "PSR"])
def test_a_case_may_say_that_headers_are_not_to_be_trusted(orientation: str, tmp_path: Path) -> None:
    scan_with_wrong_headers(tmp_path, orientation)
    (tmp_path / "scans.csv").write_text("ct,patient,lungs,trust_headers\ncase/ct.nii.gz,anna,case/lungs.nii.gz,no\n")
    (case,) = read_data(tmp_path).cases
    read = load_truth(case, [LUNGS], load_image(case), same_voxels=False)
    np.testing.assert_array_equal(read.planes["lungs"][1], lungs()[::-1, ::-1, 1].T > 0)
    # Where the header does fit, it says more than the order of the voxels.
    save(tmp_path / "case" / "lungs.nii.gz", *stored(lungs(), "ASL"))
    read = load_truth(case, [LUNGS], load_image(case), same_voxels=False)
    np.testing.assert_array_equal(read.planes["lungs"][1], lungs()[::-1, ::-1, 1].T > 0)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.where(lungs(), 1, -1).astype(np.int16), "the value -1"),
        (lungs() * np.float32(0.4), "the value 0.4"),
        (np.where(lungs(), 256, 0).astype(np.int16), "the value 256"),
        (np.where(lungs(), 1, np.nan).astype(np.float32), "NaN"),
    ],
    ids=["negative", "fractions", "large", "nan"],
)
def test_values_that_are_no_labels_are_refused(labels: NDArray[np.generic], found: str, tmp_path: Path) -> None:
    save(tmp_path / "case" / "lungs.nii.gz", labels, AFFINE)
    with pytest.raises(InvalidImageError, match=rf"case/lungs\.nii\.gz holds .*{found}.* whole numbers from 0 to 255"):
        read_labels(tmp_path / "case" / "lungs.nii.gz")
    save(tmp_path / "case" / "ct.nii.gz", np.where(lungs(), -800, 40).astype(np.int16), AFFINE)
    (case,) = read_data(tmp_path).cases
    with pytest.raises(InvalidImageError, match="whole numbers"):
        load_truth(case, [LUNGS], None, same_voxels=False)


def test_whole_numbers_may_be_stored_as_fractions(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", (lungs() > 0).astype(np.float32), AFFINE)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii.gz").labels, lungs() > 0)


def test_a_map_of_lungs_and_infection_together(tmp_path: Path) -> None:
    both = lungs()
    both[2:4, 3:5, 2:4] = 3
    save(tmp_path / "ct.nii.gz", np.where(lungs(), -800, 40).astype(np.int16), AFFINE)
    save(tmp_path / "both.nii.gz", both, AFFINE)
    (tmp_path / "scans.csv").write_text("ct,patient,both\nct.nii.gz,anna,both.nii.gz\n")
    (case,) = read_data(tmp_path).cases
    read = load_truth(case, [LUNGS, INFECTION], load_image(case), same_voxels=False)
    np.testing.assert_array_equal(read.planes["lungs"][2], both[::-1, ::-1, 2].T > 0)
    np.testing.assert_array_equal(read.planes["infection"][2], both[::-1, ::-1, 2].T == 3)
