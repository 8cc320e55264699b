"""Usage, help and errors of the command line, without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundglass import __version__
from groundglass.cli import main as cli
from groundglass.cli.main import main

COMMANDS = ("analyze", "doctor", "demo", "models")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"groundglass {__version__}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--json" in out
    assert "Usage" in out


def test_the_module_runs_like_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "groundglass", "--version"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0
    assert __version__ in run.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["analyze"], "INPUT"),
        (["nonsense"], "nonsense"),
        (["analyze", "x.nii", "--no-such-option"], "--no-such-option"),
        (["analyze", "x.nii", "--infection-threshold", "much"], "--infection-threshold"),
        (["analyze", "x.nii", "--infection-threshold", "1.5"], "infection_threshold is 1.5"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_missing_input_exits_with_3_and_json_says_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", str(tmp_path / "nothing.nii.gz"), "--json"]) == 3
    body = json.loads(capsys.readouterr().out)
    assert body["error"]["exit_code"] == 3
    assert body["error"]["type"] == "InputNotFoundError"
    assert "nothing.nii.gz" in body["error"]["message"]


def test_a_fault_of_the_program_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("[bold]wires[/] crossed")

    monkeypatch.setattr("groundglass.pipeline.doctor", broken)
    assert main(["doctor", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "unexpected RuntimeError: [bold]wires[/] crossed" in err
    assert "Traceback" not in err


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("crossed wires")

    monkeypatch.setenv("GROUNDGLASS_DEBUG", "1")
    monkeypatch.setattr("groundglass.pipeline.doctor", broken)
    with pytest.raises(RuntimeError, match="crossed wires"):
        main(["doctor", str(tmp_path)])


def test_out_of_memory_is_said_plainly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def hungry(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr("groundglass.pipeline.doctor", hungry)
    assert main(["doctor", str(tmp_path)]) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_models_prints_the_card_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    card = next(card for card in cards if card["name"] == "lungs-infection")
    assert len(card["sha256"]) == 64
    assert "non-commercial" in card["licence"].lower()
    assert main(["models"]) == 0
    assert "lungs-infection" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_can_be_printed(shell: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from groundglass.cli.main import run; run()"],
        env={"_GROUNDGLASS_COMPLETE": f"source_{shell}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "groundglass" in run.stdout.lower()
    assert cli.app.info.name == "groundglass"
