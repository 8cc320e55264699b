"""Folders and tables of labelled slices as people keep them: nothing is lost without a word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from groundglass.errors import DatasetError
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.records import label_of, part_of


def put(folder: Path, *files: str) -> Path:
    """Empty-looking pictures at the given places."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / file), np.full((8, 8), 90, np.uint8))
    return folder


def table(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("CT_COVID", "COVID"),
        ("covid_positive", "COVID"),
        ("COVID-19 pneumonia", "COVID"),
        ("COVID+", "COVID"),
        ("CT_NonCOVID", "NonCOVID"),
        ("non-COV", "NonCOVID"),
        ("Non COVID", "NonCOVID"),
        ("covid_negative", "NonCOVID"),
        ("COVID-", "NonCOVID"),
        ("Other-Pneumonia", "OtherPneumonia"),
        ("Bacterial", "OtherPneumonia"),
        ("viral pneumonia", "OtherPneumonia"),
        ("Community acquired pneumonia", "OtherPneumonia"),
        ("CAP", "OtherPneumonia"),
        ("Healthy", "Normal"),
    ],
)
def test_common_names_of_classes_are_known(name: str, label: str) -> None:
    assert label_of(name) == label


def test_parts_have_many_names_and_others_are_refused() -> None:
    assert [part_of(name) for name in ("Train", "training", "VAL", "valid", "Validation", "dev")] == [
        *("train", "train"),
        *("val", "val", "val", "val"),
    ]
    assert part_of("TEST") == part_of("testing") == "test"
    with pytest.raises(DatasetError, match=r"the part 'fold 1' is not known; expected one of train \(train, training"):
        part_of("fold 1")


@pytest.mark.parametrize(
    "names",
    [
        ("COVID", "Normal", "Other-Pneumonia"),
        ("COV", "Normal", "Bacterial"),
        ("COVID-19 pneumonia", "Community acquired pneumonia", "Healthy"),
    ],
)
def test_every_class_folder_is_read(names: tuple[str, ...], tmp_path: Path) -> None:
    slices = read_data(put(tmp_path, *(f"{name}/{number}.png" for name in names for number in range(2))))
    assert Counter(one.label for one in slices) == {"COVID": 2, "OtherPneumonia": 2, "Normal": 2}


def test_a_folder_that_is_no_class_beside_one_that_is_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "COVID/a.png", "Normal/b.png")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no picture")
    put(tmp_path, ".ipynb_checkpoints/a.png")
    assert len(read_data(tmp_path)) == 2
    put(tmp_path, "Fibrosis/P1/c.png")
    with pytest.raises(DatasetError, match=r"'Fibrosis' names no class and no part, as 'COVID' beside it.*NonCOVID \("):
        read_data(tmp_path)


def test_where_no_folder_is_a_class_it_says_what_was_found(tmp_path: Path) -> None:
    put(tmp_path, "infected/a.png", "fine/b.png")
    with pytest.raises(DatasetError, match=r"found pictures in fine, infected; expected folders named after COVID \("):
        read_data(tmp_path)


def test_folders_below_a_class_are_patients(tmp_path: Path) -> None:
    put(tmp_path, "COVID/P1/a.png", "COVID/P1/series/b.png", "COVID/P2/a.png", "COVID/c.png", "Normal/P3/a.png")
    found = {one.name: (one.label, one.patient, one.split) for one in read_data(tmp_path)}
    assert found == {
        "COVID/P1/a.png": ("COVID", "P1", ""),
        "COVID/P1/series/b.png": ("COVID", "P1", ""),
        "COVID/P2/a.png": ("COVID", "P2", ""),
        "COVID/c.png": ("COVID", None, ""),
        "Normal/P3/a.png": ("Normal", "P3", ""),
    }


@pytest.mark.parametrize("pattern", ["{part}/{label}/P{n}/a.png", "{label}/{part}/P{n}/a.png"])
def test_parts_stand_above_or_below_the_classes(pattern: str, tmp_path: Path) -> None:
    wanted = [("Train", "COV", 1), ("Train", "Normal", 2), ("validation", "COV", 3), ("TEST", "Normal", 4)]
    put(tmp_path / "set", *(pattern.format(part=part, label=label, n=n) for part, label, n in wanted))
    found = {(one.split, one.label, one.patient, one.source) for one in read_data(tmp_path / "set")}
    assert found == {
        ("train", "COVID", "P1", "set"),
        ("train", "Normal", "P2", "set"),
        ("val", "COVID", "P3", "set"),
        ("test", "Normal", "P4", "set"),
    }


def test_an_unknown_part_beside_a_known_one_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/COVID/a.png", "holdout/COVID/b.png")
    with pytest.raises(
        DatasetError, match=r"'holdout' names no class and no part, as 'train' beside it.*known parts: "
    ):
        read_data(tmp_path)


def test_classes_within_classes_are_narrower_or_refused(tmp_path: Path) -> None:
    put(tmp_path / "a", "COVID/a.png", "NonCOVID/normal/b.png", "NonCOVID/viral/c.png")
    assert [one.label for one in read_data(tmp_path / "a")] == ["COVID", "Normal", "OtherPneumonia"]
    put(tmp_path / "b", "COVID/a.png", "Normal/COVID/b.png")
    with pytest.raises(DatasetError, match="names the class COVID within Normal"):
        read_data(tmp_path / "b")


def test_the_parts_of_a_table_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    rows = ["file,label,split", "a.png,COVID,Training", "b.png,CT_COVID,Validation", "c.png,Normal,"]
    images = table(tmp_path / "images.csv", *rows)
    assert [one.split for one in read_data(tmp_path)] == ["train", "val", ""]
    table(images, *rows, "a.png,COVID,holdout")
    with pytest.raises(DatasetError, match=r"images\.csv, line 5, split: the part 'holdout' is not known; expected"):
        read_data(tmp_path)
    table(images, *rows, "a.png,tumour,train")
    with pytest.raises(DatasetError, match=r"images\.csv, line 5, label: the class name 'tumour' is not known"):
        read_data(tmp_path)


def test_the_parts_of_scans_are_checked_before_a_scan_is_read(tmp_path: Path) -> None:
    table(tmp_path / "volumes.csv", "file,label,split", "missing.nii.gz,COVID,holdout")
    with pytest.raises(DatasetError, match=r"volumes\.csv, line 2, split: the part 'holdout'"):
        read_data(tmp_path)


def test_a_table_may_be_given_instead_of_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "set", "a.png")
    images = table(tmp_path / "set" / "images.csv", "file,label", "a.png,COVID")
    assert [(one.name, one.source) for one in read_data(images)] == [("a.png", "set")]
    with pytest.raises(DatasetError, match=r"a\.png is a file; expected a folder of labelled slices, or a table such"):
        read_data(tmp_path / "set" / "a.png")


def test_tables_in_folders_of_parts_make_one_data_set(tmp_path: Path) -> None:
    for part in ("train", "test"):
        put(tmp_path / "set" / part, "a.png")
        table(tmp_path / "set" / part / "images.csv", "file,label,patient", "a.png,COVID,p")
    found = [(one.name, one.source, one.split, one.group) for one in read_data(tmp_path / "set")]
    assert found == [("test/a.png", "set", "test", "set/p"), ("train/a.png", "set", "train", "set/p")]


def test_a_folder_of_pictures_beside_data_sets_is_not_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "one/COVID/a.png", "two/deep/Normal/b.png")
    assert [(one.source, one.label) for one in read_data(tmp_path)] == [("one", "COVID"), ("two", "Normal")]
    put(tmp_path, "three/x.png")
    with pytest.raises(DatasetError, match=r"named after a class in .*three; found pictures in \.;"):
        read_data(tmp_path)
