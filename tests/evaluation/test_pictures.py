"""Folders of pictures: the same tables serve training and evaluation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from groundglass.errors import DatasetError, UnsupportedFormatError
from groundglass.evaluation.cases import load_truth
from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.evaluation.structures import INFECTION, LUNGS
from tests.evaluation.conftest import masks


def drawn(data: LabelledData) -> list[tuple[str, str, int, list[str]]]:
    return [(case.name, case.patient, len(case.images), sorted(case.truth)) for case in data.cases]


def by_training(folder: Path) -> list[tuple[str, str, int | None]]:
    """Name, patient and fold of the volumes as training finds them."""
    pytest.importorskip("torch")
    from groundglass.training.sources.find import recognise

    return sorted((volume.name, volume.patient, volume.fold or 0) for volume in recognise(folder))


def rewrite(folder: Path, columns: tuple[str, ...]) -> None:
    """Leave these columns of the table."""
    lines = [line.split(",") for line in (folder / "slices.csv").read_text().splitlines()]
    places = [lines[0].index(column) for column in columns]
    (folder / "slices.csv").write_text("\n".join(",".join(line[at] for at in places) for line in lines) + "\n")


def test_pairs_in_other_folders(slices: Path) -> None:
    for name, other in (("ct", "images"), ("lung", "lungs"), ("infection", "infections")):
        (slices / name).rename(slices / other)
    (slices / "slices.csv").rename(slices / "pairs.csv")
    data = read_data(slices)
    assert data.layout == "slices of volumes"
    assert drawn(data)[0] == ("alpha_1", "alpha", 3, ["infection", "lungs"])
    assert [(case.name, case.patient, case.fold) for case in data.cases] == by_training(slices)
    read = load_truth(data.cases[0], [LUNGS, INFECTION], None, same_voxels=False)
    assert (read.planes["infection"][2] == (masks(2)[1] > 0)).all()
    assert drawn(read_data(slices / "pairs.csv")) == drawn(data)


def test_without_volumes_a_patient_is_one(slices: Path) -> None:
    rewrite(slices, ("file", "patient"))
    data = read_data(slices)
    assert [(name, count) for name, _, count, _ in drawn(data)] == [
        ("alpha", 6),
        ("beta", 3),
        ("delta", 3),
        ("gamma", 3),
    ]
    assert [(case.name, case.patient, 0) for case in data.cases] == by_training(slices)


def test_masks_named_in_the_table(slices: Path) -> None:
    (slices / "ct").rename(slices / "images")
    (slices / "lung").rename(slices / "drawn")
    shutil.rmtree(slices / "infection")
    head, *rows = (slices / "slices.csv").read_text().splitlines()
    named = [f"{row},drawn/{row.split(',')[0]}" for row in rows]
    (slices / "slices.csv").write_text("\n".join([f"{head},lung", *named]) + "\n")
    case = read_data(slices).cases[0]
    assert set(case.truth) == {"lungs"}
    assert (load_truth(case, [LUNGS], None, same_voxels=False).planes["lungs"][1] == (masks(1)[0] > 0)).all()


def test_what_is_not_drawn_is_named(slices: Path) -> None:
    for name in ("lung", "infection"):
        for path in (slices / name).glob("beta__*.png"):
            path.unlink()
    (slices / "lung" / "gamma__1.png").unlink()
    data = read_data(slices)
    assert [name for name, *_ in drawn(data)] == ["alpha_1", "alpha_2", "delta", "gamma"]
    assert data.left_out == ("beta", "gamma (lungs drawn in 2 of 3 slices)")
    assert set(data.cases[-1].truth) == {"infection"}


def test_a_fold_that_is_no_number(slices: Path) -> None:
    rewrite(slices, ("file", "volume", "patient", "patient"))
    (slices / "slices.csv").write_text((slices / "slices.csv").read_text().replace("patient,patient", "patient,fold"))
    with pytest.raises(DatasetError, match="has the fold 'alpha'; expected a whole number"):
        read_data(slices)


def test_a_table_without_any_mask(slices: Path) -> None:
    for name in ("lung", "infection"):
        shutil.rmtree(slices / name)
    with pytest.raises(UnsupportedFormatError, match="holds no labelled data"):
        read_data(slices)
