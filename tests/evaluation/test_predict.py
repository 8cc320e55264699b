"""Masks in a folder are found for the case that they belong to, and for no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from groundglass.errors import InputNotFoundError
from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.evaluation.predict import FolderPredictor
from groundglass.evaluation.structures import INFECTION, LUNGS

SCAN = "ct_scans/coronacases_org_001.nii.gz"
LUNG, LESION = "lung_mask/coronacases_001.nii.gz", "infection_mask/coronacases_001.nii.gz"


def case_folders(volumes: Path, names: tuple[str, ...]) -> LabelledData:
    for name in names:
        (volumes.parent / "cases" / name).mkdir(parents=True)
        shutil.copy(volumes / SCAN, volumes.parent / "cases" / name / "ct.nii.gz")
        shutil.copy(volumes / LUNG, volumes.parent / "cases" / name / "lungs.nii.gz")
    return read_data(volumes.parent / "cases")


def test_a_mask_beside_the_folders_is_of_no_case(volumes: Path, tmp_path: Path) -> None:
    data = case_folders(volumes, ("anna", "berta"))
    (tmp_path / "found").mkdir()
    shutil.copy(volumes / LUNG, tmp_path / "found" / "lungs.nii.gz")
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), cases=data.cases)
    with pytest.raises(InputNotFoundError, match=r"expected anna/lungs\.nii\.gz there; to leave"):
        predictor.predict(data.cases[0], None)


def test_the_mask_of_a_single_case_may_lie_anywhere(volumes: Path, tmp_path: Path) -> None:
    data = case_folders(volumes, ("anna",))
    (tmp_path / "found").mkdir()
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), cases=data.cases)
    with pytest.raises(
        InputNotFoundError, match=r"expected anna/lungs\.nii\.gz or lungs/lungs\.nii\.gz or lungs\.nii\.gz there"
    ):
        predictor.predict(data.cases[0], None)
    shutil.copy(volumes / LUNG, tmp_path / "found" / "lungs.nii.gz")
    predictor = FolderPredictor(tmp_path / "found", (LUNGS,), cases=data.cases)
    assert predictor.predict(data.cases[0], None).masks.planes["lungs"][0].any()


def test_one_file_is_not_lungs_and_infection(volumes: Path, tmp_path: Path) -> None:
    data = read_data(volumes)
    (tmp_path / "found").mkdir()
    for mask in (volumes / "infection_mask").iterdir():
        shutil.copy(mask, tmp_path / "found")
    alone = FolderPredictor(tmp_path / "found", (INFECTION,), cases=data.cases)
    assert set(alone.predict(data.cases[0], None).masks.planes) == {"infection"}
    both = FolderPredictor(tmp_path / "found", (LUNGS, INFECTION), cases=data.cases)
    with pytest.raises(InputNotFoundError, match=r"no prediction of lungs .* --structure"):
        both.predict(data.cases[0], None)
