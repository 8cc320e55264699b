"""`analyze` and `demo` at the command line: what is printed, written and returned."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pytest

import groundglass as gg
from groundglass.cli.main import main
from groundglass.phantom import chest
from tests.support.thorax import small_chest, thorax_file

SCHEMA = Path(gg.__file__).parent / "schema" / "analysis.schema.json"


def test_the_summary_is_on_stdout_and_the_progress_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(thorax_file(tmp_path)), "-o", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    for text in ("Involvement (%)", "Lung volume (ml)", "Severity score", "report.html", "Not a medical device"):
        assert text in captured.out
    assert "network ..." in captured.err
    assert "network ..." not in captured.out


def test_quiet_says_nothing_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(thorax_file(tmp_path)), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_json_is_the_record_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["analyze", str(thorax_file(tmp_path)), "-o", str(out), "--json", "--probability"]) == 0
    record = json.loads(capsys.readouterr().out)
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))
    assert record["run"]["options"]["probability"] is True
    assert record["measurements"]["lung_volume_ml"]["total"] > 1000
    heat = nibabel.load(out / "thorax" / "infection_probability.nii.gz")
    assert float(np.max(heat.get_fdata())) <= 1.0 + 1e-6  # the header keeps the scale in single precision
    assert heat.shape == small_chest().volume.geometry.shape


def test_a_scan_without_lungs_exits_with_3_and_leaves_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "water.nii.gz"
    values = np.random.default_rng(0).normal(20.0, 20.0, (80, 80, 20)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([4.0, 4.0, 5.0, 1.0])), path)
    assert main(["analyze", str(path), "-o", str(tmp_path / "out"), "--quiet"]) == 3
    captured = capsys.readouterr()
    assert "no-lungs" in captured.err
    assert "not known" in captured.out
    assert "No lungs were found" in (tmp_path / "out" / "water" / "report.html").read_text()


def test_a_higher_threshold_finds_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volumes = []
    for threshold in ("0.2", "0.9"):
        command = [
            "analyze",
            str(thorax_file(tmp_path)),
            "-o",
            str(tmp_path),
            "--json",
            "--infection-threshold",
            threshold,
        ]
        assert main(command) == 0
        volumes.append(json.loads(capsys.readouterr().out)["measurements"]["infection_volume_ml"]["total"])
    assert volumes[0] > volumes[1] > 0


def test_a_series_is_refused_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(thorax_file(tmp_path)), "-o", str(tmp_path / "out"), "--series", "2"]) == 2
    assert "not DICOM" in " ".join(capsys.readouterr().err.split())


def test_demo_prints_truth_beside_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chest, "STANDARD_SHAPE", (160, 160, 62))
    monkeypatch.setattr(chest, "STANDARD_SPACING", (2.3, 2.3, 5.0))
    out = tmp_path / "new" / "demo"
    assert main(["demo", "-o", str(out), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "Truth beside result" in text
    assert "Lesions" in text
    assert (out / "synthetic-chest-0" / "report.html").is_file()
    assert (out / "synthetic-chest-0.nii.gz").is_file()
    assert sorted(path.name for path in out.iterdir()) == ["synthetic-chest-0", "synthetic-chest-0.nii.gz"]
