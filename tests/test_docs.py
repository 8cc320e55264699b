"""The documentation says what is true: its examples run, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_examples_of_the_coordinates_page_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "coordinates.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        assert "assert" in block
        exec(compile(block, "coordinates.md", "exec"), {})


def test_the_readme_names_every_command() -> None:
    from groundglass.cli.main import app

    text = (ROOT / "README.md").read_text()
    names = {command.name for command in app.registered_commands}
    assert {"analyze", "doctor", "demo", "models"} <= names
    for name in names:
        assert f"groundglass {name}" in text or f"make {name}" in text, name


def test_the_version_is_the_same_everywhere() -> None:
    import tomllib

    import groundglass

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == groundglass.__version__
