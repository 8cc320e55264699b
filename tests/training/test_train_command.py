"""`groundglass train`: what it prints, and how it fails."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundglass.cli.main import main

pytest.importorskip("pytorch_lightning")


def test_help_loads_no_heavy_library() -> None:
    heavy = ("torch", "pytorch_lightning", "cv2", "scipy", "matplotlib", "openvino")
    code = "from groundglass.cli.main import main; assert main(['train', '--help']) == 0; import sys; "
    code += f"assert not [m for m in {heavy} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_json_is_all_there_is_on_stdout(
    pictures: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(tiny), "--data", str(pictures), "-o", str(tmp_path), "--workers", "0", "--json"]
    assert main([*arguments, "--fold", "0", "--validation-fold", "1", "--steps", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 2
    assert Path(told["onnx"]).is_file()
    assert Path(told["card"]).is_file()


def test_samples_are_drawn_instead_of_training(
    pictures: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "samples.png"
    assert main(["train", str(tiny), "--data", str(pictures), "--show-samples", str(picture)]) == 0
    assert picture.is_file()
    assert str(picture) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("preset", "data", "code", "words"),
    [
        ("nonsense", ".", 2, "no preset named 'nonsense'"),
        ("lungs-unet", "absent", 3, "no data folder"),
        ("lungs-unet", ".", 3, "no training data found"),
    ],
)
def test_what_is_wrong_is_one_line(
    preset: str, data: str, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", preset, "--data", str(tmp_path / data), "-o", str(tmp_path / "run")]) == code
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_without_torch_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec

    def without_torch(name: str, *rest: Any) -> Any:
        return None if name == "torch" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    assert main(["train", "lungs-unet", "--data", str(tmp_path)]) == 1
    assert "pip install 'groundglass[train]'" in capsys.readouterr().err.replace("\n", " ")
