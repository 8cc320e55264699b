"""Every bad input and output at the command line: exit code, message, no traceback, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from groundglass.cli.main import main
from tests.support.bad_inputs import BAD_INPUTS, BadInput
from tests.support.thorax import thorax_file


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_bad_input(tmp_path: Path, bad: BadInput, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    path, out = bad.build(tmp_path / "in"), tmp_path / "out"
    assert main(["analyze", str(path), "--output", str(out), "--quiet"]) == bad.error.exit_code == 3
    captured = capsys.readouterr()
    message = " ".join(captured.err.split())
    assert re.search(bad.message, message, re.DOTALL), message
    assert message.startswith("Error: ")
    assert "Traceback" not in message
    assert captured.out == ""
    assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.parametrize("bad", BAD_INPUTS[::4], ids=lambda bad: bad.name)
def test_bad_input_as_json(tmp_path: Path, bad: BadInput, capsys: pytest.CaptureFixture[str]) -> None:
    path = bad.build(tmp_path)
    assert main(["doctor", str(path), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == bad.error.__name__
    assert error["exit_code"] == 3


def test_the_output_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan, out = thorax_file(tmp_path), tmp_path / "results"
    out.write_text("mine")
    assert main(["analyze", str(scan), "-o", str(out), "--quiet"]) == 1
    assert "results" in capsys.readouterr().err
    assert out.read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that refuses writing even to root")
def test_the_output_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(thorax_file(tmp_path)), "-o", "/proc/groundglass", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: ")
    assert "check the output folder" in " ".join(err.split())


def test_the_disk_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    scan, out = thorax_file(tmp_path), tmp_path / "out"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["analyze", str(scan), "-o", str(out), "--quiet"]) == 1
    assert "the disk is full" in " ".join(capsys.readouterr().err.split())
    assert list(out.iterdir()) == []


def test_files_may_not_grow(tmp_path: Path) -> None:
    """A real limit of the system instead of a pretended one: no file may exceed 8 kB."""
    scan, out = thorax_file(tmp_path), tmp_path / "out"
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "from groundglass.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "analyze", str(scan), "-o", str(out), "--quiet"]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert list(out.iterdir()) == []


def test_a_finished_case_survives_a_failed_second_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, out = thorax_file(tmp_path), tmp_path / "out"
    assert main(["analyze", str(scan), "-o", str(out), "--quiet"]) == 0
    case = next(out.iterdir())
    before = {path.name: path.read_bytes() for path in case.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["analyze", str(scan), "-o", str(out), "--quiet"]) == 1
    assert {path.name: path.read_bytes() for path in case.iterdir()} == before
    assert [path.name for path in out.iterdir()] == [case.name]
    assert np.count_nonzero(capsys.readouterr().out.split()) > 0
