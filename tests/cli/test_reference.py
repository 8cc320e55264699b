"""The documentation of the commands is that of the program."""

from __future__ import annotations

from pathlib import Path

from groundglass.cli.reference import commands_page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == commands_page(), "run `make docs`"


def test_the_page_explains_every_option() -> None:
    page = commands_page()
    for text in ("## analyze", "## doctor", "## demo", "## models", "`--allow-irregular`", "`INPUT`", "`--json`"):
        assert text in page
    assert "|  |" not in page, "an option without help"
