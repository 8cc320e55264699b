"""Results appear complete or not at all, and read back as they were."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from groundglass.errors import OutputError
from groundglass.geometry import Geometry
from groundglass.io.write import MARKER, atomic_file, atomic_write_bytes, case_folder, check_output_folder, write_nifti
from groundglass.volume import LUNG_NAMES, Heatmap, LabelMap, Source
from tests.support.volumes import marked_scan

SCAN, GRID = marked_scan()


def labels() -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[2:5, 3:9, 1:7] = 1
    array[8:11, 3:8, 2:6] = 2
    return LabelMap(array, GRID, LUNG_NAMES, Source("case", "array", GRID))


def test_bytes_appear_whole(tmp_path: Path) -> None:
    atomic_write_bytes(tmp_path / "a.json", b"one")
    atomic_write_bytes(tmp_path / "a.json", b"two")
    assert (tmp_path / "a.json").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"old")
    with pytest.raises(TypeError), atomic_file(tmp_path / "a.json") as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "check the output folder"),
    ],
)
def test_what_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=message) as caught:
        atomic_write_bytes(tmp_path / "a.json", b"data")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'} cannot be written: ")
    assert caught.value.errno == code
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_label_map_reads_back(tmp_path: Path) -> None:
    write_nifti(labels(), tmp_path / "lungs.nii.gz")
    image = nibabel.load(tmp_path / "lungs.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), labels().labels)
    assert image.get_data_dtype() == np.uint8
    assert image.header["descrip"].item() == b"1=right lung, 2=left lung"
    assert image.header.get_intent()[0] == "label"
    assert image.header.get_xyzt_units()[0] == "mm"
    assert json.loads(image.header.extensions[0].get_content().decode()) == {
        "labels": {"1": "right lung", "2": "left lung"}
    }
    by_itk = SimpleITK.ReadImage(str(tmp_path / "lungs.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(by_itk).transpose(2, 1, 0), labels().labels)


def test_heat_map_reads_as_0_to_1(tmp_path: Path) -> None:
    values = np.arange(np.prod(GRID.shape), dtype=np.uint32).reshape(GRID.shape).astype(np.uint8)
    write_nifti(Heatmap(values, GRID, Source("case", "array", GRID)), tmp_path / "p.nii.gz")
    image = nibabel.load(tmp_path / "p.nii.gz")
    assert np.allclose(image.get_fdata(), values / 255.0, atol=1e-6)
    assert np.array_equal(image.dataobj.get_unscaled(), values)
    by_itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "p.nii.gz")))
    assert np.allclose(by_itk.transpose(2, 1, 0), values / 255.0, atol=1e-6)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    write_nifti(labels(), tmp_path / "a.nii.gz")
    write_nifti(labels(), tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert b"lungs" not in gzip.decompress((tmp_path / "a.nii.gz").read_bytes())[:348].replace(b"lung", b"")


def test_a_tilted_grid_is_written_as_sform_alone(tmp_path: Path) -> None:
    affine = GRID.affine.copy()
    affine[1, 2] = 0.8
    grid = Geometry(GRID.shape, affine)
    write_nifti(LabelMap(labels().labels, grid, LUNG_NAMES, Source("case", "dicom", grid)), tmp_path / "a.nii.gz")
    header = nibabel.load(tmp_path / "a.nii.gz").header
    assert np.allclose(header.get_sform(), affine)
    assert int(header["qform_code"]) == 0


def finish(output: Path, case: str, **files: str) -> Path:
    with case_folder(output, case) as (partial, final):
        for name, text in files.items():
            (partial / name).write_text(text)
        (partial / MARKER).write_text("{}")
        assert partial.parent == final.parent
    return final


def test_a_case_appears_at_the_end(tmp_path: Path) -> None:
    with case_folder(tmp_path / "deep" / "out", "case") as (partial, final):
        (partial / MARKER).write_text("{}")
        assert not final.exists()
    assert final == tmp_path / "deep" / "out" / "case"
    assert [path.name for path in final.iterdir()] == [MARKER]
    assert [path.name for path in final.parent.iterdir()] == ["case"]


def test_a_failed_case_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), case_folder(tmp_path, "case") as (partial, _):
        (partial / "lungs.nii.gz").write_bytes("no bytes")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_finished_case_is_replaced_as_a_whole(tmp_path: Path) -> None:
    finish(tmp_path, "case", old="1", both="1")
    final = finish(tmp_path, "case", new="2", both="2")
    assert {path.name for path in final.iterdir()} == {"new", "both", MARKER}
    assert (final / "both").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_a_failure_keeps_the_finished_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = finish(tmp_path, "case", old="1")
    with pytest.raises(KeyError), case_folder(tmp_path, "case"):
        raise KeyError
    assert (final / "old").read_text() == "1"
    rename = os.rename

    def fails_for_the_new_one(source: Path, target: Path) -> None:
        if "partial" in source.name:
            raise OSError(errno.EIO, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_for_the_new_one)
    with pytest.raises(OutputError):
        finish(tmp_path, "case", new="2")
    assert (final / "old").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_a_foreign_folder_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a finished analysis"), case_folder(tmp_path, "case"):
        pass
    assert (tmp_path / "case" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="left alone"), case_folder(tmp_path, "file"):
        pass


def test_the_output_folder_is_checked_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_output_folder(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="a file, not a folder"):
            check_output_folder(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission"):
        check_output_folder(tmp_path / "new")
