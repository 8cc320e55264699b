"""The usable series of many DICOM files."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from groundglass.errors import InputError
from groundglass.io.border import counted, no_warnings
from groundglass.io.dicom_header import Frame, read_frames
from groundglass.io.dicom_series import FEW_SLICES, Series, group_frames


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """One series that can be analyzed.

    Attributes:
        folder: the smallest folder that holds all its files.
        files: its files.
        key: number of the series, for the name of the case.
        part: tells it from all other series.
    """

    folder: Path
    files: tuple[Path, ...]
    key: str
    part: str


def series_of_tree(root: Path, paths: Iterable[Path], left_out: list[str]) -> list[FoundSeries]:
    """Group DICOM files into series and keep those that are scans.

    In each folder these are the CT series of at least ten slices, the axial ones if there are any; a smaller CT series
    counts where there is no other.

    Args:
        root: folder that was searched, for the words in `left_out`.
        paths: DICOM files.
        left_out: gets a line for every series that is not kept.
    """
    per_folder: dict[Path, list[Series]] = defaultdict(list)
    for series in group_frames(_frames(paths)):
        files = [frame.path for frame in series.frames]
        folder = Path(os.path.commonpath([path.parent for path in files]))
        per_folder[folder].append(series)
    found = []
    for folder, group in sorted(per_folder.items()):
        kept = _scans(group)
        numbers = Counter(_number(series) for series in kept)
        for series in group:
            if any(series is one for one in kept):
                key = _number(series) if numbers[_number(series)] == 1 else series.info.key
                found.append(_found(series, folder, key))
            else:
                place = folder.relative_to(root).as_posix() if folder != root else folder.name
                info = series.info
                left_out.append(f"{place}: series {info.key}, {info.kind}, {counted(info.slices, 'slice')}")
    return found


def _frames(paths: Iterable[Path]) -> list[Frame]:
    frames: list[Frame] = []
    with no_warnings():
        for path in paths:
            try:
                # The details are read again with the pixels; without them a large tree fits into memory.
                frames += [replace(frame, details={}) for frame in read_frames(path)]
            except InputError:
                continue
    return frames


def _scans(group: list[Series]) -> list[Series]:
    usable = [series for series in group if series.info.kind == "CT"]
    for narrower in (
        [series for series in usable if series.info.slices >= FEW_SLICES],
        [series for series in usable if series.axial],
    ):
        kept = [series for series in usable if any(series is one for one in narrower)]
        usable = kept or usable
    return usable


def _number(series: Series) -> str:
    return series.info.key.split(".")[0]


def _found(series: Series, folder: Path, key: str) -> FoundSeries:
    files = tuple(dict.fromkeys(frame.path for frame in series.frames))
    # One series UID may stand for several stacks; what tells them apart must not depend on what else is in the tree.
    first = series.frames[0]
    stack = f"{first.rows}x{first.columns} {first.pixel_spacing} {first.orientation} {first.acquisition}"
    return FoundSeries(folder, files, key, f"{first.series_uid}/{hashlib.sha256(stack.encode()).hexdigest()[:8]}")
