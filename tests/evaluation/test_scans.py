"""Labelled scans in the layouts that training reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from groundglass.errors import DatasetError
from groundglass.evaluation.cases import load_image, load_masks
from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.evaluation.structures import INFECTION, LUNGS

SCAN = "ct_scans/coronacases_org_001.nii.gz"
LUNG, LESION = "lung_mask/coronacases_001.nii.gz", "infection_mask/coronacases_001.nii.gz"


def by_training(folder: Path) -> list[tuple[str, str, int | None]]:
    """Name, patient and fold of the volumes as training finds them."""
    pytest.importorskip("torch")
    from groundglass.training.sources.find import recognise

    return [(volume.name, volume.patient, volume.fold) for volume in recognise(folder)]


def found(data: LabelledData) -> list[tuple[str, str, int | None]]:
    """The same as evaluation finds them."""
    return [(case.name, case.patient, case.fold) for case in data.cases]


def test_a_list_of_scans_is_read_as_training_reads_it(volumes: Path, tmp_path: Path) -> None:
    table = volumes.rename(tmp_path / "mine") / "scans.csv"
    table.write_text(
        f"ct,patient,lungs,infection,fold,name\n{SCAN},anna,{LUNG},{LESION},1,first\n{SCAN},berta,{LUNG},,0,\n"
    )
    (table.parent / "ct_scans").rename(table.parent / "scans")
    table.write_text(table.read_text().replace("ct_scans/", "scans/"))
    data = read_data(table.parent)
    assert data.layout == "list of scans"
    assert found(data) == found(read_data(table)) == [("berta_1", "berta", 0), ("first", "anna", 1)]
    assert sorted(by_training(table.parent)) == found(data)
    first = data.cases[1]
    read = load_masks(first, first.truth, (LUNGS, INFECTION), same_voxels=False)
    assert (len(read.planes["lungs"]), read.spacing_mm) == (4, (1.5, 1.0, 2.0))
    assert load_image(first).scan is not None
    assert set(data.cases[0].truth) == {"lungs"}


def test_a_folder_per_case_is_read_as_training_reads_it(volumes: Path, tmp_path: Path) -> None:
    for case in ("anna", "berta"):
        (tmp_path / "cases" / case).mkdir(parents=True)
        shutil.copy(volumes / SCAN, tmp_path / "cases" / case / "ct.nii.gz")
    shutil.copy(volumes / LUNG, tmp_path / "cases" / "anna" / "Lungs.nii.gz")
    shutil.copy(volumes / LESION, tmp_path / "cases" / "berta" / "infection_mask.nii.gz")
    (tmp_path / "cases" / "neither").mkdir()
    (tmp_path / "cases" / "carla").mkdir()
    shutil.copy(volumes / SCAN, tmp_path / "cases" / "carla" / "ct.nii.gz")
    data = read_data(tmp_path / "cases")
    assert data.layout == "folder per case"
    assert found(data) == by_training(tmp_path / "cases") == [("anna", "anna", None), ("berta", "berta", None)]
    assert [set(case.truth) for case in data.cases] == [{"lungs"}, {"infection"}]
    assert data.left_out == ("carla",)
    assert load_image(data.cases[0]).scan is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ct,patient,lungs\n", "has no row"),
        ("ct,patient,lungs\na.nii,,b.nii\n", r"row 2: 'ct', 'patient' or every label map is empty"),
        ("ct,patient,lungs\na.nii,anna,\n", r"row 2: .* expected ct, patient, and lungs or infection"),
        ("ct,patient,lungs,fold\na.nii,anna,b.nii,one\n", "has the fold 'one'; expected a whole number"),
        ("ct,patient,lungs,name\na.nii,x,b.nii,v\nc.nii,y,d.nii,v\n", "two scans are called v"),
    ],
)
def test_lists_that_cannot_be_understood(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "scans.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_data(tmp_path)
