"""Label maps and surfaces for other programs, read back by other libraries."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
import trimesh

from groundglass.cli.export import write_table
from groundglass.errors import InputNotFoundError, OptionError, UnreadableFileError, UnsupportedFormatError
from groundglass.export.case import load_case
from groundglass.export.codes import SEGMENTS
from groundglass.export.surfaces import surfaces
from groundglass.export.targets import export_case, parse_targets
from tests.support.finished import Made


@pytest.fixture(scope="module")
def files(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    export_case(load_case(made.folder), ["nifti,seg-nrrd,stl,obj,glb"], folder)
    return folder


def test_one_label_map_with_names(files: Path, made: Made) -> None:
    image = nibabel.load(files / "labels.nii.gz")
    lungs, infection = made.result.lungs.on_source_grid(), made.result.infection.on_source_grid()
    expected = np.where(infection > 0, infection + 2, lungs)
    assert np.array_equal(np.asarray(image.dataobj), expected)
    assert np.allclose(image.affine, made.result.lungs.source.geometry.affine, atol=1e-4)
    note = json.loads(image.header.extensions[0].get_content())
    assert note["labels"] == {"1": "Right lung", "2": "Left lung", "3": "Ground-glass opacity", "4": "Consolidation"}


def test_slicer_segmentation_has_layers_names_and_place(files: Path, made: Made) -> None:
    data, header = nrrd.read(str(files / "labels.seg.nrrd"))
    assert np.array_equal(data[0], made.result.lungs.on_source_grid())
    assert np.array_equal(data[1], made.result.infection.on_source_grid())
    assert header["space"] == "left-posterior-superior"
    affine = made.result.lungs.source.geometry.affine
    assert np.allclose(header["space origin"], affine[:3, 3] * (-1, -1, 1))
    assert np.allclose(header["space directions"][1:], (affine[:3, :3] * [[-1], [-1], [1]]).T)
    assert header["Segment2_Name"] == "Ground-glass opacity"
    assert (header["Segment3_LabelValue"], header["Segment3_Layer"]) == ("2", "1")
    assert "SCT^39607008^Lung" in header["Segment0_Tags"]


def test_itk_reads_the_slicer_segmentation_as_two_components(files: Path, made: Made) -> None:
    image = SimpleITK.ReadImage(str(files / "labels.seg.nrrd"))
    assert image.GetNumberOfComponentsPerPixel() == 2
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 4, 5)))
    expected = made.result.lungs.source.geometry.world((3, 4, 5)) * (-1, -1, 1)
    assert np.allclose(lps, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["stl", "obj"])
def test_surfaces_enclose_the_volume_where_the_scan_is(files: Path, made: Made, kind: str) -> None:
    masks = {"lungs": made.result.lungs, "infection": made.result.infection}
    for segment in SEGMENTS[:3]:
        labels = masks[segment.mask]
        mesh: Any = trimesh.load(files / f"{segment.label.lower().replace(' ', '-')}.{kind}")
        inside = np.argwhere(labels.labels == segment.value)
        assert mesh.volume / 1000 == pytest.approx(len(inside) * labels.geometry.voxel_ml, rel=0.06)
        centre = labels.geometry.world(inside).mean(axis=0) * (-1, -1, 1)
        assert np.abs(mesh.center_mass - centre).max() < 2.0


def test_the_scene_stands_upright_with_all_parts(files: Path, made: Made) -> None:
    scene: Any = trimesh.load(files / "lungs.glb")
    assert set(scene.geometry) == {segment.label for segment in SEGMENTS}
    extent = scene.extents
    lungs = made.result.lungs
    points = lungs.geometry.world(np.argwhere(lungs.labels > 0))
    size = np.ptp(points, axis=0) / 1000.0
    assert extent == pytest.approx(size[[0, 2, 1]], abs=0.015)
    right = scene.geometry["Right lung"].vertices.mean(axis=0)
    assert right[0] < scene.geometry["Left lung"].vertices.mean(axis=0)[0], "x grows to the patient's left"


def test_no_surface_of_what_is_not_there(made: Made) -> None:
    empty = load_case(made.folder)
    empty.infection.labels[:] = 0
    assert [surface.segment.number for surface in surfaces(empty.lungs, empty.infection, SEGMENTS)] == [1, 2]


def test_the_list_names_every_file(files: Path) -> None:
    listed = json.loads((files / "export.json").read_text())["files"]
    assert {entry["file"] for entry in listed} == {path.name for path in files.iterdir()} - {"export.json"}
    assert all(len(entry["sha256"]) == 64 for entry in listed)


def test_a_table_has_one_row_with_every_number(made: Made, tmp_path: Path) -> None:
    export_case(load_case(made.folder), ["csv"], tmp_path, table=write_table)
    text = (tmp_path / "measurements.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 1
    numbers = made.result.measurements
    assert float(rows[0]["involvement_percent_total"]) == pytest.approx(numbers.involvement_percent.total, rel=1e-3)
    assert float(rows[0]["zones_right_lower_percent"]) == pytest.approx(numbers.zones[2].percent, rel=1e-3)
    with pytest.raises(OptionError, match="csv needs"):
        export_case(load_case(made.folder), ["csv"], tmp_path)


def test_targets_are_checked() -> None:
    assert parse_targets(["stl, nifti", "STL"]) == ("nifti", "stl")
    with pytest.raises(OptionError, match="unknown: docx"):
        parse_targets(["docx"])
    with pytest.raises(OptionError, match="nothing to export"):
        parse_targets([" , "])


def test_what_is_no_finished_analysis_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"analysis\.json is missing"):
        load_case(tmp_path)
    (tmp_path / "analysis.json").write_text("{}")
    with pytest.raises(UnreadableFileError, match="analyze the scan again"):
        load_case(tmp_path)
    text = (made.folder / "analysis.json").read_text()
    (tmp_path / "analysis.json").write_text(text)
    with pytest.raises(InputNotFoundError, match="lungs"):
        load_case(tmp_path)
    (tmp_path / "analysis.json").write_text(text.replace('"slices": null', '"slices": []'))
    with pytest.raises(UnsupportedFormatError, match="pictures"):
        load_case(tmp_path)
