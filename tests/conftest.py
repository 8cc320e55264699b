"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real CT data; `GROUNDGLASS_TEST_DATA` or `../shared/data` beside the project."""
    folder = Path(os.environ.get("GROUNDGLASS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "covid20" / "slices.csv").is_file():
        pytest.skip(f"no real CT data in {folder} (set GROUNDGLASS_TEST_DATA to its folder)")
    return folder


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the default settings, whatever the user's environment says."""
    for name in list(os.environ):
        if name.startswith("GROUNDGLASS_") and name != "GROUNDGLASS_TEST_DATA":
            monkeypatch.delenv(name)
