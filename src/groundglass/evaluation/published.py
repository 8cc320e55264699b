"""What others have published, each number with its protocol."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from groundglass.analysis import Record


class PublishedRow(Record):
    """One published result; what was not published is None.

    Attributes:
        system: who.
        structure: `lungs` or `infection`.
        protocol: data, split, and what the mean is over.
        comparable: scored per volume on patients that were not learned from.
        source: where it is written.
    """

    system: str
    structure: str
    dice: float | None = None
    dice_sd: float | None = None
    iou: float | None = None
    precision: float | None = None
    recall: float | None = None
    nsd: float | None = None
    nsd_sd: float | None = None
    protocol: str
    comparable: bool
    source: str


@cache
def published() -> tuple[PublishedRow, ...]:
    """Every row, in the order of the file."""
    text = (files("groundglass.evaluation") / "published.toml").read_text(encoding="utf-8")
    return tuple(PublishedRow.model_validate(row) for row in tomllib.loads(text)["row"])


def published_for(structure: str) -> tuple[PublishedRow, ...]:
    """The rows of one structure."""
    return tuple(row for row in published() if row.structure == structure)
