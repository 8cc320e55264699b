"""The public 20-volume set as it is downloaded."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from groundglass.errors import UnsupportedFormatError
from groundglass.evaluation.cases import load_image, load_truth
from groundglass.evaluation.layouts import read_data
from groundglass.evaluation.structures import INFECTION, LUNGS
from tests.evaluation.conftest import masks


def together(volumes: Path) -> None:
    """Put both masks into one map, as the set has it besides."""
    (volumes / "lung_and_infection_mask").mkdir()
    for path in (volumes / "lung_mask").iterdir():
        lungs, lesion = (
            np.asarray(nibabel.load(volumes / sub / path.name).dataobj) for sub in ("lung_mask", "infection_mask")
        )
        both = np.where(lesion, 3, lungs).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(both, np.eye(4)), volumes / "lung_and_infection_mask" / path.name)


@pytest.mark.parametrize("alone", [True, False])
def test_maps_of_lungs_and_infection_together(alone: bool, volumes: Path) -> None:
    together(volumes)
    for path in [*(volumes / "infection_mask").iterdir(), *((volumes / "lung_mask").iterdir() if alone else ())]:
        path.unlink()
    data = read_data(volumes)
    assert [case.infection_label for case in data.cases] == [3, 3]
    read = load_truth(data.cases[1], [LUNGS, INFECTION], load_image(data.cases[1]), same_voxels=False)
    assert read.spacing_mm == (1.5, 1.0, 2.0)
    lungs, lesion = masks(1)
    shown = read.planes["infection"][0]
    np.testing.assert_array_equal(shown, lesion[::-1, ::-1] > 0)
    np.testing.assert_array_equal(read.planes["lungs"][0] | shown, (lungs[::-1, ::-1] > 0) | shown)


def test_the_folders_of_zenodo_in_any_case(volumes: Path) -> None:
    for name, other in (
        ("ct_scans", "COVID-19-CT-Seg_20cases"),
        ("lung_mask", "LUNG_MASK"),
        ("infection_mask", "Infection_mask"),
    ):
        (volumes / name).rename(volumes / other)
    data = read_data(volumes)
    assert data.layout == "NIfTI volumes"
    assert [sorted(case.truth) for case in data.cases] == [["infection", "lungs"]] * 2


def test_scans_without_masks_are_named(volumes: Path) -> None:
    for sub in ("lung_mask", "infection_mask"):
        (volumes / sub / "coronacases_001.nii.gz").unlink()
    data = read_data(volumes)
    assert [case.name for case in data.cases] == ["radiopaedia_10_85902_1"]
    assert data.left_out == ("coronacases_001",)
    for sub in ("lung_mask", "infection_mask"):
        (volumes / sub / "radiopaedia_10_85902_1.nii.gz").unlink()
    with pytest.raises(UnsupportedFormatError, match="no volume with masks; without: coronacases_001"):
        read_data(volumes)


@pytest.mark.parametrize("joint", ["/", "\\"])
def test_the_table_of_the_set_says_which_mask_is_whose(joint: str, volumes: Path) -> None:
    parts = ("ct_scans", "lung_mask", "infection_mask")
    lines = ["ct_scan,lung_mask,infection_mask"]
    for number, files in enumerate(zip(*(sorted((volumes / sub).iterdir()) for sub in parts), strict=True)):
        names = [files[0].name, f"l{number}.nii.gz", f"i{number}.nii.gz"]
        for path, name in zip(files, names, strict=True):
            path.rename(path.with_name(name))
        lines.append(",".join(joint.join(["..", "input", sub, name]) for sub, name in zip(parts, names, strict=True)))
    (volumes / "metadata.csv").write_text("\n".join(lines) + "\n")
    cases = {case.name: case for case in read_data(volumes).cases}
    truth = {key: path.name for key, (path,) in cases["coronacases_001"].truth.items()}
    assert truth == {"lungs": "l0.nii.gz", "infection": "i0.nii.gz"}
