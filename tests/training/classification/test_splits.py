"""Near twins: which slices are left out, and how that is told; parts of several data sets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from groundglass.errors import DatasetError, LeakageError
from groundglass.training.classification.examples import require_two_classes
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.splits import (
    Split,
    find_twins,
    left_out,
    split_slices,
    without_twins,
    write_twins,
)
from tests.training.classification.conftest import slice_picture


def made(name: str, seed: int, *, source: str = "s", label: str = "COVID", split: str = "") -> LabelledSlice:
    image = slice_picture(np.random.default_rng(seed), "OtherPneumonia")
    return LabelledSlice(name, source, f"{source} {name}", label, split, image)


def test_slices_of_one_name_in_two_sources_are_told_apart() -> None:
    here, there, watched = made("1.png", 1), made("1.png", 2, source="t"), made("v.png", 2)
    kept, (twin,) = without_twins(Split([here, there], [watched], []))
    assert kept.train == [here]
    assert twin.slices == (there, watched)
    everything = [there, here, watched]
    (pair,) = find_twins(everything, everything)
    assert pair.slices == (there, watched)


def test_slices_are_counted_once_and_listed(tmp_path: Path) -> None:
    split = Split([made("a", 1), made("b", 2)], [made("c", 1), made("d", 3)], [made("e", 1, source="t")])
    kept, twins = without_twins(split)
    assert [[one.name for one in part] for part in (kept.train, kept.val, kept.test)] == [["b"], ["d"], ["e"]]
    assert len(twins) == 3
    assert {one.name for one in left_out(twins)} == {"a", "c"}
    write_twins(twins, split, tmp_path / "twins.csv")
    with (tmp_path / "twins.csv").open() as handle:
        rows = [tuple(row.values()) for row in csv.DictReader(handle)]
    assert rows == [
        ("train", "s", "a", "val", "s", "c", "0"),
        ("train", "s", "a", "test", "t", "e", "0"),
        ("val", "s", "c", "test", "t", "e", "0"),
    ]


def test_a_validation_part_that_is_the_test_part_is_refused() -> None:
    with pytest.raises(
        LeakageError, match=r"all 1 validation slices are near twins of test slices, such as s/a and s/b"
    ):
        without_twins(Split([], [made("a", 1)], [made("b", 1)]))


def test_a_class_emptied_by_near_twins_is_said_to_be() -> None:
    split, twins = without_twins(Split([made("a", 1), made("b", 2, label="Normal")], [made("c", 1)], []))
    words = r"found: 1 Normal; .*; 1 left out as near twins of slices in other parts, such as s/a and s/c"
    with pytest.raises(DatasetError, match=words):
        require_two_classes(split.train, load_classifier("threeclass-simple"), twins=twins)


def test_a_data_set_without_parts_is_divided_beside_one_with_parts() -> None:
    given = [made(part, n, split=part) for n, part in enumerate(("train", "val", "test"))]
    open_ones = [made(f"o{n}", 9, source="t") for n in range(10)]
    split = split_slices([*given, *open_ones])
    assert [sum(one.source == "t" for one in part) for part in (split.train, split.val, split.test)] == [6, 2, 2]
    assert [one.name for part in (split.train, split.val, split.test) for one in part if one.source == "s"] == [
        "train",
        "val",
        "test",
    ]
