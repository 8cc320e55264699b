"""Colours of pictures and charts, shared by the PNG overlay and the HTML report.

The four label colours stem from the palette of Okabe and Ito (2008) and stay apart for readers with red-green
blindness: blue and green outlines for the lungs, a light yellow and a dark orange-red for the infection.
"""

from __future__ import annotations

from typing import Final

RGB = tuple[int, int, int]

RIGHT_LUNG: Final[RGB] = (86, 180, 233)
LEFT_LUNG: Final[RGB] = (72, 211, 160)
GROUND_GLASS: Final[RGB] = (245, 216, 60)
CONSOLIDATION: Final[RGB] = (232, 88, 28)

BACKGROUND: Final[RGB] = (13, 17, 22)
PANEL: Final[RGB] = (24, 30, 37)
TEXT: Final[RGB] = (236, 240, 244)
MUTED: Final[RGB] = (158, 170, 182)
ALERT: Final[RGB] = (255, 139, 120)

SCORES: Final[tuple[RGB, ...]] = ((226, 232, 238), (254, 227, 165), (253, 184, 92), (228, 104, 42), (153, 27, 30))
"""Fill of a zone with the severity score 0 to 4: lightness falls step by step, so it also reads in grey."""


def css(colour: RGB) -> str:
    """The colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
