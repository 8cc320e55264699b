"""One finished case for all tests of the exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.finished import Made, finished


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def dicom_files(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every DICOM export of the case."""
    from groundglass.export.case import load_case
    from groundglass.export.targets import DICOM_TARGETS, export_case

    folder = tmp_path_factory.mktemp("dicom")
    export_case(load_case(made.folder), DICOM_TARGETS, folder, source=made.series)
    return folder
