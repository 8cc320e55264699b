"""`batch` at the command line, with the shipped network."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from groundglass.batch import table
from groundglass.cli.batch_display import rate_words
from groundglass.cli.main import main
from tests.support.thorax import thorax_file


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    thorax_file(folder, name="a.nii.gz")
    thorax_file(folder, name="b.nii.gz", orientation="RAS")
    return folder


def test_a_folder_of_scans(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["batch", str(scans), "-o", str(out), "--workers", "1"]) == 0
    captured = capsys.readouterr()
    assert "2 measured" in captured.out
    assert "2/2" in captured.err
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["case"] for row in rows] == ["a", "b"]
    analysis = json.loads((out / "a" / "analysis.json").read_text())
    lung = analysis["measurements"]["lung_volume_ml"]["total"]
    assert float(rows[0]["lung_volume_ml_total"]) == pytest.approx(lung, abs=1e-3)
    assert float(rows[1]["lung_volume_ml_total"]) == pytest.approx(lung, rel=0.01)
    assert (out / "cohort.html").read_text().count("data:image/jpeg") == 2
    assert "path" in (out / "inputs.csv").read_text()
    for option, again in (("--resume", 0), ("--restart", 2)):
        assert main(["batch", str(scans / "a.nii.gz"), "-o", str(out), "-w", "1", option]) == 0
        assert capsys.readouterr().err.count(": done") == again // 2


def test_a_failure_exits_with_1_and_json_lists_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8bxx")
    monkeypatch.setattr("groundglass.batch.run.write_parquet", lambda rows, path: False)
    arguments = ["batch", str(tmp_path / "bad.nii.gz"), "-o", str(tmp_path / "out"), "-w", "1"]
    assert main([*arguments, "--json"]) == 1
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["counts"] == {"failed": 1}
    assert record["failures"][0]["kind"] == "UnreadableFileError"
    assert captured.err == ""
    assert main(arguments) == 1
    assert "results.parquet was not written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nothing-there"], 3, "no such file or folder"),
        ([".", "--engine", "abacus"], 2, "expected local or ray"),
        ([".", "--timeout", "0"], 2, "--timeout is 0"),
        ([".", "--address", "auto"], 2, "belong to --engine ray"),
    ],
)
def test_wrong_usage(
    arguments: list[str], code: int, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", *arguments, "-o", str(tmp_path / "out")]) == code
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_rate_and_the_time_left_are_said() -> None:
    assert rate_words(0, 5, 3.0) == "starting"
    assert rate_words(10, 20, 60.0) == "600 cases/h, 2 min left"
    assert rate_words(1, 1, 7200.0) == "0 cases/h, 2.0 h left"
    assert rate_words(10, 1, 60.0) == "600 cases/h, 6 s left"


def test_only_time_and_memory_may_differ() -> None:
    assert table.TIMING == ("seconds", "peak_memory_mb")
