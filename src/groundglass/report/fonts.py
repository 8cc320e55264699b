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


def _dejavu(bold: bool) -> Path | None:
    spec = find_spec("matplotlib")
    for folder in spec.submodule_search_locations or () if spec else ():
        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            return path
    return None
