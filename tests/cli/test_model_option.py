"""`--model` of `analyze` and `batch`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundglass.cli.main import main
from tests.support.network import bright_network, part_of_shipped, with_card
from tests.support.thorax import thorax_file


def test_analyze_with_the_folder_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part_of_shipped(tmp_path / "run" / "model", ["infection"])
    scan, out = str(thorax_file(tmp_path)), str(tmp_path / "out")
    assert main(["analyze", scan, "-o", out, "--model", str(tmp_path / "run"), "--json", "--quiet"]) == 0
    run = json.loads(capsys.readouterr().out)["run"]
    assert [(model["name"], model["gave"]) for model in run["models"]] == [
        ("lungs-infection", ["lung"]),
        ("own", ["infection"]),
        ("classifier", ["class"]),
    ]
    assert run["options"]["model"] == "run"


def test_what_cannot_be_used_ends_with_a_message_and_2_or_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = with_card(tmp_path / "good", bright_network(), ["infection"])
    changed = with_card(tmp_path / "changed", bright_network(), ["infection"])
    changed.write_bytes(changed.read_bytes() + b"\0")
    lonely = tmp_path / "lonely.onnx"
    lonely.write_bytes(good.read_bytes())
    (tmp_path / "notes.txt").write_text("hello")
    scan = str(thorax_file(tmp_path))
    expected = {
        str(tmp_path / "nothing"): (2, "nothing is at that path"),
        str(lonely): (2, "no model card"),
        str(tmp_path / "notes.txt"): (2, "neither an .onnx file nor its card"),
        str(changed): (3, "SHA-256"),
        "classifier": (3, "is a classifier"),
    }
    for place, (code, text) in expected.items():
        for command in (["analyze", scan], ["batch", scan]):
            assert main([*command, "-o", str(tmp_path / "out"), "-m", place, "--quiet"]) == code, (command, place)
            assert text in capsys.readouterr().err.replace("\n", " ")


def test_a_batch_goes_on_with_the_same_network_wherever_it_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = part_of_shipped(tmp_path / "run" / "model", ["lung", "infection"])
    scan, out = str(thorax_file(tmp_path)), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert main(["batch", scan, "-o", str(out), "-m", "run", "-w", "1", "--quiet"]) == 0
    assert "own" in (out / "results.csv").read_text()
    (tmp_path / "run").rename(tmp_path / "moved")
    assert main(["batch", scan, "-o", str(out), "-m", "moved", "-w", "1", "--quiet"]) == 0
    capsys.readouterr()
    path = part_of_shipped(tmp_path / "other", ["infection", "lung"])
    assert main(["batch", scan, "-o", str(out), "-m", str(path), "-w", "1", "--quiet"]) == 2
    assert "network" in capsys.readouterr().err
