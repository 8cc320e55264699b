from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.labelled import write_chests


@pytest.fixture(scope="session")
def chest_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slices with and without lesions in folders of classes."""
    return write_chests(tmp_path_factory.mktemp("classes") / "chests")
