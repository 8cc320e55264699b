"""Finds the volumes that a preset asks for below a data folder, whatever their layout."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from groundglass.errors import DatasetError, InputError
from groundglass.evaluation.pictures import picture_table
from groundglass.evaluation.public_set import is_public_set
from groundglass.evaluation.scans import SCAN_TABLES
from groundglass.training.presets.model import SourceChoice
from groundglass.training.sources.pictures import picture_volumes
from groundglass.training.sources.research import research_volume
from groundglass.training.sources.scans import case_folders, listed_scans, public_volumes
from groundglass.training.sources.volume import LabelledVolume

logger = logging.getLogger(__name__)
BLANK = "blank"
LAYOUTS = (
    "slices as pictures with slices.csv (file, patient, fold); the public 20-volume set as downloaded (ct_scans/, "
    "lung_mask/, ...); scans.csv (ct, patient, lungs, infection); or a folder per case with ct.nii.gz and "
    "lungs.nii.gz or infection.nii.gz"
)


def find_volumes(data: Path, choices: tuple[SourceChoice, ...]) -> dict[str, list[LabelledVolume]]:
    """The volumes of each source of a preset that is there, by the source's name.

    Raises:
        DatasetError: A source that is needed is absent, or two volumes have one name.
    """
    if not data.is_dir():
        raise DatasetError(f"no data folder {data}; expected {LAYOUTS}")
    found: dict[str, list[LabelledVolume]] = {}
    for choice in choices:
        name = source_name(choice)
        if choice.layout == BLANK:
            found[name] = []
            continue
        volumes = _volumes(data, choice)
        if volumes:
            found[name] = volumes
            logger.info("source %s: %d volumes", name, len(volumes))
        elif choice.optional:
            logger.info("source %s: absent from %s", name, data)
        else:
            raise DatasetError(f"no training data found in {data}; expected {LAYOUTS}{_deeper(data)}")
    names = [volume.name for volumes in found.values() for volume in volumes]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DatasetError(f"{data} has two volumes called {sorted(twice)[0]!r}; expected each name once")
    return found


def _deeper(data: Path) -> str:
    """Where the data are if they lie a folder deeper, as an archive unpacks them."""
    for path in sorted(data.iterdir()):
        with suppress(InputError):  # a folder that is no such data after all
            if recognise(path):
                return f"; there are such data one folder deeper: give {path}"
    return ""


def source_name(choice: SourceChoice) -> str:
    """What a source is called in logs: its layout and its folder, of which several sets may share either."""
    kind = choice.layout if choice.layout != "auto" else "labelled"
    return f"{kind} in {choice.folder}" if choice.folder else kind


def recognise(folder: Path) -> list[LabelledVolume]:
    """The volumes of a folder in any of the layouts; an empty list where there is none."""
    if not folder.is_dir():
        return []
    if picture_table(folder) is not None:
        return picture_volumes(folder)
    if is_public_set(folder):
        return public_volumes(folder)
    for name in SCAN_TABLES:
        if (folder / name).is_file():
            return listed_scans(folder / name)
    return case_folders(folder)


def _volumes(data: Path, choice: SourceChoice) -> list[LabelledVolume]:
    folder = data / choice.folder
    if choice.layout == "auto":
        # A folder of the data that is itself the set of the preset's named folder will do as well.
        return recognise(folder) or (recognise(data) if choice.folder else [])
    return [research_volume(choice.layout, folder)] if folder.is_dir() else []
