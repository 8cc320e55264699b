"""Labelled data as they lie on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundglass.errors import (
    DatasetError,
    GeometryMismatchError,
    InputNotFoundError,
    OptionError,
    UnreadableFileError,
    UnsupportedFormatError,
)
from groundglass.evaluation.cases import load_image, load_masks
from groundglass.evaluation.layouts import read_data
from groundglass.evaluation.public_set import volume_key, volume_patient
from groundglass.evaluation.structures import INFECTION, LUNGS, labelled, structure_named
from tests.evaluation.conftest import masks, save_volume


def test_slices_of_volumes(slices: Path) -> None:
    data = read_data(slices)
    assert [case.name for case in data.cases] == ["alpha_1", "alpha_2", "beta", "delta", "gamma"]
    first = data.cases[0]
    assert (first.patient, first.fold, first.kind, len(first.images)) == ("alpha", 0, "pictures", 3)
    assert data.patients == {"alpha", "beta", "gamma", "delta"}
    assert {case.name for case in data.of_folds([1]).cases} == {"gamma", "delta"}
    with pytest.raises(OptionError, match="no fold 7; its folds: 0, 1"):
        data.of_folds([7])


def test_a_folder_above_is_understood(slices: Path) -> None:
    slices.rename(slices.parent / "covid20")
    assert len(read_data(slices.parent).cases) == 5


def test_masks_of_slices(slices: Path) -> None:
    case = read_data(slices).cases[0]
    read = load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=False)
    assert read.spacing_mm is None
    assert (read.planes["lungs"][1] == (masks(1)[0] > 0)).all()
    assert (read.planes["infection"][2] == (masks(2)[1] > 0)).all()
    image = load_image(case)
    assert image.shown(0).shape == (48, 48)


def test_the_public_volumes(volumes: Path) -> None:
    data = read_data(volumes)
    assert [case.name for case in data.cases] == ["coronacases_001", "radiopaedia_10_85902_1"]
    assert [case.patient for case in data.cases] == ["coronacases_001", "radiopaedia_10"]
    case = data.cases[0]
    read = load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=False)
    assert read.spacing_mm == (1.5, 1.0, 2.0)
    assert len(read.planes["lungs"]) == 4
    image = load_image(case)
    assert image.scan is not None
    assert read.geometry is not None
    assert image.scan.geometry.matches(read.geometry)


@pytest.mark.parametrize(
    ("file", "key", "patient"),
    [
        ("coronacases_org_003.nii", "coronacases_003", "coronacases_003"),
        ("coronacases_003.nii.gz", "coronacases_003", "coronacases_003"),
        ("radiopaedia_org_covid-19-pneumonia-29_86490_1-dcm.nii", "radiopaedia_29_86490_1", "radiopaedia_29"),
        ("radiopaedia_29_86491_1.nii.gz", "radiopaedia_29_86491_1", "radiopaedia_29"),
        ("my_case.nii.gz", "my_case", "my_case"),
        ("Coronacases_Org_010.nii", "coronacases_010", "coronacases_010"),
        ("coronacases_001_lungs.nii.gz", "coronacases_001_lungs", "coronacases_001_lungs"),
    ],
)
def test_names_of_the_public_volumes(file: str, key: str, patient: str) -> None:
    assert volume_key(Path(file)) == key
    assert volume_patient(key) == patient


def test_a_table(volumes: Path, slices: Path, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    scan = "volumes/ct_scans/coronacases_org_001.nii.gz,volumes/lung_mask/coronacases_001.nii.gz"
    table.write_text(f"image,lungs,volume,patient,fold\n{scan},first,anna,2\n")
    data = read_data(table)
    assert (data.layout, data.cases[0].kind, data.cases[0].name) == ("table", "scan", "first")
    assert (data.cases[0].patient, data.cases[0].fold) == ("anna", 2)
    pictures = [f"slices/ct/beta__{i}.png,slices/infection/beta__{i}.png,beta,0.7 0.7 5" for i in range(3)]
    table.write_text("image,infection,volume,spacing_mm\n" + "\n".join(pictures) + "\n")
    case = read_data(table).cases[0]
    assert (case.kind, len(case.images), case.spacing_mm) == ("pictures", 3, (0.7, 0.7, 5.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,lungs\n", "no row"),
        ("picture,lungs\na.png,b.png\n", "no column 'image'"),
        ("image,other\na.png,b.png\n", "has no mask"),
        ("image,lungs,volume,patient\na.png,b.png,v,anna\nc.png,d.png,v,berta\n", "more than one patient"),
        ("image,lungs,spacing_mm\na.png,b.png,wide\n", "spacing 'wide' cannot be understood"),
        ("image,lungs,volume\na.nii,b.nii,v\nc.nii,d.nii,v\n", "2 scans are called v"),
        ("image,lungs,fold\na.nii,b.nii,a\n", "has the fold 'a'; expected a whole number"),
    ],
)
def test_tables_that_cannot_be_understood(text: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises((DatasetError, UnreadableFileError), match=message):
        read_data(table)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="does not exist"):
        read_data(tmp_path / "nothing")
    with pytest.raises(UnsupportedFormatError, match="holds no labelled data"):
        read_data(tmp_path)
    (tmp_path / "ct_scans").mkdir()
    with pytest.raises(UnsupportedFormatError, match="no masks"):
        read_data(tmp_path)


def test_label_maps_on_two_grids(volumes: Path) -> None:
    lungs = masks(0)[0].T[:, :, None].repeat(4, axis=2) // 255
    save_volume(volumes / "lung_mask" / "coronacases_001.nii.gz", lungs, (1.0, 1.5, 3.0))
    files = "ct_scans/coronacases_org_001.nii.gz,lung_mask/coronacases_001.nii.gz,infection_mask/coronacases_001.nii.gz"
    (volumes / "scans.csv").write_text(f"ct,lungs,infection,patient\n{files},anna\n")
    (case,) = read_data(volumes / "scans.csv").cases
    with pytest.raises(GeometryMismatchError, match="--same-voxels"):
        load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=False)
    assert len(load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=True).planes) == 2
    # The public set is known for its headers.
    case = read_data(volumes).cases[0]
    assert len(load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=False).planes) == 2


def test_labels_by_value() -> None:
    part = labelled("right lung=1, 3", LUNGS)
    assert (part.name, part.source, part.labels, part.tolerance_mm) == ("right lung", "lungs", (1, 3), 1.0)
    for text in ("right lung", "=1", "right=one"):
        with pytest.raises(OptionError, match="expected NAME=VALUE"):
            labelled(text, LUNGS)
    with pytest.raises(OptionError, match="no structure named 'heart'"):
        structure_named("heart")
