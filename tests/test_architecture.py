"""Holds the code to the import rules of docs/architecture.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "groundglass"
FILES = sorted(PACKAGE.rglob("*.py"))


def layers() -> dict[str, int]:
    """Name of each part -> its line in the document (1 = top)."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = text.split("<!-- layers: top to bottom -->")[1].split("<!-- end of layers -->")[0]
    lines = re.findall(r"^(\d+)\. (.+)$", block, flags=re.MULTILINE)
    return {name.strip(): int(number) for number, names in lines for name in names.split(",")}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write the full name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_its_line() -> None:
    parts = {part_of(path) for path in FILES} - {"__init__", "__main__", "schema"}
    assert parts == set(layers())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    order = layers()
    if (mine := order.get(part_of(path))) is None:
        return
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] == "groundglass" and len(parts) > 1 and parts[1] in order:
            assert order[parts[1]] >= mine, f"{path.name} imports {name}, which stands above it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_right_parts_touch_torch_stdout_and_the_environment(path: Path) -> None:
    part, tree = part_of(path), ast.parse(path.read_text())
    roots = {name.split(".")[0] for name in imported_modules(path)}
    prints = any(isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print" for n in ast.walk(tree))
    environment = any(isinstance(n, ast.Attribute) and n.attr in {"environ", "getenv"} for n in ast.walk(tree))
    assert part == "training" or not roots & {"torch", "efficientnet_lite_pytorch"}
    assert part == "cli" or not prints
    assert part in {"settings", "cli"} or not environment


HEAVY = ("torch", "openvino", "cv2", "SimpleITK", "scipy", "matplotlib", "pydicom")


@pytest.mark.parametrize(
    "code",
    [
        "import groundglass",
        "from groundglass.cli.main import main; assert main(['--help']) == 0",
        "from groundglass.cli.main import main; assert main(['analyze', '--help']) == 0",
        "from groundglass.cli.main import main; assert main(['demo', '--help']) == 0",
    ],
)
def test_import_and_help_load_no_heavy_library(code: str) -> None:
    check = f"{code}; import sys; loaded = [m for m in {HEAVY!r} if m in sys.modules]; assert not loaded, loaded"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_public_names_can_be_imported() -> None:
    import groundglass

    assert sorted(groundglass.__all__) == dir(groundglass)
    for name in groundglass.__all__:
        assert getattr(groundglass, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = groundglass.nothing
