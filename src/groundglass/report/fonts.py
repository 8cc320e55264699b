"""The typeface of drawn pictures, the same on every system."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int, *, bold: bool = False) -> Font:
    """DejaVu Sans from matplotlib's package data (read without importing matplotlib); else Pillow's own typeface.

    Args:
        size: height of a line in pixels.
        bold: the bold cut; Pillow's own typeface has none.
    """
    path = _dejavu(bold)
    if path is None:
        return ImageFont.load_default(size)
    # The basic layout is part of every Pillow; the other one needs a library that may be missing or fail on odd text.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def font_folder() -> Path | None:
    """The folder with DejaVu Sans; None where matplotlib is not installed."""
    spec = find_spec("matplotlib")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "mpl-data" / "fonts" / "ttf"
        if path.is_dir():
            return path
    return None


def _dejavu(bold: bool) -> Path | None:
    folder = font_folder()
    path = folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf") if folder else None
    return path if path is not None and path.is_file() else None
