from __future__ import annotations

import sys

import pytest

from groundglass.report import fonts


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fonts.font.cache_clear()


def test_letters_grow_with_the_size() -> None:
    assert fonts.font(40).getlength("Slice") > 1.8 * fonts.font(20).getlength("Slice")
    assert fonts.font(20, bold=True).getlength("Slice") > fonts.font(20).getlength("Slice")


def test_without_matplotlib_pillows_own_letters_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    assert fonts.font(20).getlength("Slice") > 20
    fonts.font.cache_clear()


def test_matplotlib_is_not_imported_for_its_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    fonts.font(17)
    assert "matplotlib" not in sys.modules
