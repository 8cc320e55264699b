"""Labelled slices drawn from scans: which slice is which, and what a wrong table is told."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch")

from groundglass.errors import DatasetError, InputError
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.volumes import labelled_slices, slice_labels


def write_scan(path: Path, slices: int = 6) -> Path:
    """A scan stored from head to feet; slice n is n * 100 - 900 HU, the right front brighter."""
    hu = np.full((24, 20, slices), -1000, np.int16)
    hu += (100 * (1 + np.arange(slices))).astype(np.int16)
    hu[:8, :5] += 500  # x from the right, y from the front, as the affine says
    affine = np.diag([-2.0, -2.0, -5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu, affine), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_scan(folder / f"{name}.nii.gz")
    rows = ["file,label,name,patient,split,every", "a.nii.gz,COVID,first,p1,train,", "b.nii.gz,cap,,,val,2"]
    (folder / "volumes.csv").write_text("\n".join([*rows, "c.nii.gz,Normal,,,,"]) + "\n")
    heads = [f"first,{head},{int(head in (1, 2))}" for head in range(6)]
    (folder / "slice_labels.csv").write_text("\n".join(["volume,slice_from_head,infected", *heads]) + "\n")
    return folder


def test_slices_carry_the_label_of_their_slice_and_show_it(data: Path) -> None:
    found = {one.name: one for one in read_data(data)}
    assert [found[f"first[{head}]"].label for head in range(6)] == ["Normal", "COVID", "COVID", *["Normal"] * 3]
    assert {one.label for name, one in found.items() if name.startswith("b[")} == {"OtherPneumonia"}
    assert [name for name in found if name.startswith("b[")] == ["b[0]", "b[2]", "b[4]"]
    assert {one.label for name, one in found.items() if name.startswith("c[")} == {"Normal"}
    assert (found["first[0]"].patient, found["b[0]"].patient) == ("p1", "b")
    assert (found["first[0]"].split, found["b[0]"].split, found["c[0]"].split) == ("train", "val", "")
    assert {one.source for one in found.values()} == {"scans"}
    # Mapped from disk, so that many scans do not fill the memory.
    assert all(isinstance(one.image, np.memmap) for one in found.values())


def test_slices_are_counted_from_the_head_and_lie_as_on_a_screen(data: Path) -> None:
    slices = {head: image for head, _, image in labelled_slices(data / "a.nii.gz", "COVID", None)}
    assert [int(image[-1, -1]) for image in slices.values()] == [-900, -800, -700, -600, -500, -400]
    # Row 0 is the front, column 0 the patient's right.
    assert slices[0].shape == (20, 24)
    assert slices[0][0, 0] == -400 > slices[0][0, -1]
    assert slices[0][-1, 0] == -900
    grey = next(one.image for one in read_data(data) if one.name == "first[0]")
    assert grey.dtype == np.uint8
    assert grey[-1, -1] == round(255 * (-900 + 1250) / 1500)


def test_a_data_set_of_pictures_and_scans(data: Path, dataset: Path) -> None:
    (data / "images.csv").write_text(f"file,label,patient\n{next((dataset / 'COVID').glob('*.png'))},COVID,q\n")
    assert {one.patient for one in read_data(data)} == {"q", "p1", "b", "c"}
    assert {one.source for one in read_data(data.parent)} == {"scans"}


@pytest.mark.parametrize(
    ("table", "text", "words"),
    [
        ("volumes.csv", "scan,label\na.nii.gz,COVID\n", "has scan, label; expected the columns file, label"),
        ("volumes.csv", "file,label\n", "has no rows"),
        ("volumes.csv", "file,label,name\na.nii.gz\n", "line 2, has too few columns"),
        ("volumes.csv", "file,label,name\na.nii.gz,tumour,first\n", "'tumour' is not known"),
        (
            "volumes.csv",
            "file,label,name,every\na.nii.gz,COVID,first,0\n",
            "line 2, every: found '0'; expected a whole",
        ),
        ("volumes.csv", "file,label\na.nii.gz,COVID\n", r"has slices of first; expected volumes of volumes\.csv \(a\)"),
        ("slice_labels.csv", "volume,slice\nfirst,1\n", "expected the columns infected, slice_from_head, volume"),
        ("slice_labels.csv", "volume,slice_from_head,infected\nfirst,two,1\n", "line 2, slice_from_head: found 'two'"),
        ("slice_labels.csv", "volume,slice_from_head,infected\nfirst,6,1\n", "has 6 slices; slice 6 is labelled"),
    ],
)
def test_wrong_tables_are_explained(table: str, text: str, words: str, data: Path) -> None:
    (data / table).write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_data(data)


def test_a_missing_scan_is_an_input_error(data: Path) -> None:
    (data / "a.nii.gz").unlink()
    with pytest.raises(InputError, match=r"a\.nii\.gz"):
        read_data(data)


def test_the_labels_of_the_real_scans(shared_data: Path) -> None:
    labels = slice_labels(shared_data / "ct_volumes" / "slice_labels.csv")
    assert {name for name, heads in labels.items() if heads} >= {"covid_P001", "cap_cap001"}
    assert 0 not in labels["covid_P001"]
