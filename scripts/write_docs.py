"""Writes the generated parts of the documentation: docs/commands.md and the JSON schema.

With `--picture` also docs/images/demo.png, the overlay of the synthetic chest CT (needs half a minute).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from groundglass.cli.reference import commands_page
from groundglass.report.schema import schema_text

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the files whose text has changed and name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", action="store_true", help="make the picture of the demo anew too")
    arguments = parser.parse_args()
    write(ROOT / "docs" / "commands.md", commands_page())
    write(ROOT / "src" / "groundglass" / "schema" / "analysis.schema.json", schema_text())
    if arguments.picture:
        write_picture(ROOT / "docs" / "images" / "demo.png")


def write(path: Path, text: str) -> None:
    """Write `text` to `path` unless it stands there already."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {path.relative_to(ROOT)}")


def write_picture(path: Path) -> None:
    """Analyze the synthetic chest and keep its overlay."""
    from groundglass.phantom import make_chest
    from groundglass.pipeline import analyze

    with tempfile.TemporaryDirectory() as folder:
        case = analyze(make_chest(seed=0).volume).save(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case / "overlay.png", path)
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
