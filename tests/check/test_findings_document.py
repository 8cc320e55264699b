"""docs/findings.md lists every code that the program can say, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (info|warning|error) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def documented() -> dict[str, str]:
    rows = ROW.findall((ROOT / "docs" / "findings.md").read_text(encoding="utf-8"))
    assert len(rows) == len({code for code, _ in rows}), "a code is listed twice"
    return dict(rows)


def said(file: Path) -> Iterator[tuple[str, str | None]]:
    """Codes given by keyword, with the severity where the call has it as a plain string."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        severity = keywords.get("severity")
        level = severity.value if isinstance(severity, ast.Constant) and isinstance(severity.value, str) else None
        code = keywords.get("code")
        options = [code.body, code.orelse] if isinstance(code, ast.IfExp) else [code]
        for option in options:
            if isinstance(option, ast.Constant) and isinstance(option.value, str):
                yield option.value, level


def test_the_table_lists_every_code() -> None:
    files = sorted((ROOT / "src" / "groundglass").rglob("*.py"))
    found = {code: level for file in files for code, level in said(file)}
    table = documented()
    assert sorted(found) == sorted(table)
    assert {code: level for code, level in found.items() if level and table[code] != level} == {}
