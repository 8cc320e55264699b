"""A finished analysis, read back from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from groundglass.analysis import Analysis
from groundglass.errors import InputNotFoundError, InvalidImageError, UnreadableFileError, UnsupportedFormatError
from groundglass.io.labels import read_label_map
from groundglass.io.write import MARKER
from groundglass.models.catalog import available, load_card
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, LabelMap

LUNGS, INFECTION, OVERLAY, ATTENTION = "lungs.nii.gz", "infection.nii.gz", "overlay.png", "attention.png"


@dataclass(frozen=True, eq=False)
class FinishedCase:
    """What an analysis left behind.

    Attributes:
        folder: `OUT/<case>/`.
        analysis: the record.
        lungs: 1 = right lung, 2 = left lung.
        infection: 1 = ground-glass, 2 = consolidation, on the same grid.
        overlay_png: content of `overlay.png`; None where the file is gone.
        licence: terms of the network's training data.
        attention_png: content of `attention.png`; None where nothing was classified or the file is gone.
    """

    folder: Path
    analysis: Analysis
    lungs: LabelMap
    infection: LabelMap
    overlay_png: bytes | None
    licence: str
    attention_png: bytes | None = None


def load_case(folder: Path) -> FinishedCase:
    """Read a finished analysis of a scan.

    Args:
        folder: `OUT/<case>/`, or its `analysis.json`.

    Raises:
        InputNotFoundError: no finished analysis there.
        UnreadableFileError: a file of it is damaged or was written by an incompatible version.
        UnsupportedFormatError: the analysis of pictures, which have no geometry.
        InvalidImageError: the masks do not belong together.
    """
    folder = folder.parent if folder.name == MARKER else folder
    analysis = read_analysis(folder)
    if analysis.slices is not None:
        raise UnsupportedFormatError(
            f"{folder} is the analysis of pictures, which have no geometry; expected the analysis of a scan"
        )
    case = analysis.case
    lungs = read_label_map(folder / LUNGS, case, LUNG_NAMES)
    infection = read_label_map(folder / INFECTION, case, INFECTION_NAMES)
    if not lungs.geometry.matches(infection.geometry):
        raise InvalidImageError(
            f"{folder}: {LUNGS} is on {lungs.geometry}, {INFECTION} on {infection.geometry}; expected one grid; "
            "analyze the scan again"
        )
    overlay, attention = ((folder / name) if (folder / name).is_file() else None for name in (OVERLAY, ATTENTION))
    return FinishedCase(
        folder=folder,
        analysis=analysis,
        lungs=lungs,
        infection=infection,
        overlay_png=overlay.read_bytes() if overlay else None,
        licence=_licence(analysis),
        attention_png=attention.read_bytes() if attention else None,
    )


def read_analysis(folder: Path) -> Analysis:
    """The record of a finished analysis.

    Raises:
        InputNotFoundError: no finished analysis there.
        UnreadableFileError: the record is damaged or of an incompatible version.
    """
    path = folder / MARKER
    if not path.is_file():
        raise InputNotFoundError(
            f"{folder}: no finished analysis there ({MARKER} is missing); expected the folder OUT/CASE of `analyze`"
        )
    try:
        return Analysis.from_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableFileError(f"{path} cannot be understood ({reason}); analyze the scan again") from error


def _licence(analysis: Analysis) -> str:
    """Terms of the networks that gave the masks; of one that is not part of the package only its owner knows them."""
    shipped = {card.sha256: card.licence for card in map(load_card, available())}
    models = [model for model in analysis.run.models if "class" not in model.gave] or analysis.run.models
    terms = [shipped.get(model.sha256, f"Network '{model.name}': as its training data allow.") for model in models]
    return " ".join(dict.fromkeys(terms))
