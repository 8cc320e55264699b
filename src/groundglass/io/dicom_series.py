"""Which of the series in a folder is meant.

Frames of one `SeriesInstanceUID` that differ in size, pixel spacing or orientation (a scout inside the series, a
second reconstruction), or that repeat all places (a second acquisition), are series of their own here, because they
cannot be one volume.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InputNotFoundError, NotCTError, SeveralSeriesError
from groundglass.finding import Finding
from groundglass.io.border import counted
from groundglass.io.dicom_header import Frame

FEW_SLICES = 10
_LISTED = 20
_UID_ENDING = 6


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """One series as shown to the user; de-identified.

    Attributes:
        key: what `series` accepts: the series number, with `.1`, `.2` where it is not unique.
        kind: `CT`, or what it is instead (`localizer`, `secondary capture`, `MR`, ...).
        description: de-identified.
        slices: number of image planes.
        rows: pixels from top to bottom.
        columns: pixels from left to right.
        thickness_mm: None where the header does not say.
        uid_ending: last characters of the series UID.
    """

    key: str
    kind: str
    description: str
    slices: int
    rows: int
    columns: int
    thickness_mm: float | None
    uid_ending: str

    def __str__(self) -> str:
        """One line of the list."""
        thickness = "? mm" if self.thickness_mm is None else f"{self.thickness_mm:g} mm"
        return (
            f"{self.key:>6}  {self.kind}, {counted(self.slices, 'slice')} of {self.columns}x{self.rows}, {thickness}, "
            f"{self.description or 'no description'}, UID ...{self.uid_ending}"
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Frames that may form one volume.

    Attributes:
        info: what the user sees.
        frames: in the order of the files.
    """

    info: SeriesInfo
    frames: list[Frame]

    @property
    def axial(self) -> bool:
        """Whether the planes lie across the body."""
        orientation = self.frames[0].orientation
        return orientation is None or abs(plane_normal(orientation)[2]) > 0.7


def plane_normal(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Unit normal of an image plane, LPS: row direction x column direction (PS3.3 C.7.6.2.1.1)."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))


def group_frames(frames: list[Frame]) -> list[Series]:
    """Group frames into series, in the order of their numbers."""
    groups: list[list[Frame]] = []
    by_uid: dict[str, list[list[Frame]]] = {}
    for frame in frames:
        known = by_uid.setdefault(frame.series_uid, [])
        for group in known:
            if _belongs(frame, group[0]):
                group.append(frame)
                break
        else:
            known.append([frame])
            groups.append(known[-1])
    groups = [part for group in groups for part in _by_acquisition(group)]
    groups.sort(key=lambda group: (group[0].series_number is None, group[0].series_number or 0, -len(group)))
    numbers = Counter(group[0].series_number for group in groups)
    seen: Counter[int | None] = Counter()
    series = []
    for group in groups:
        number = group[0].series_number
        seen[number] += 1
        key = "?" if number is None else str(number)
        series.append(Series(_info(group, f"{key}.{seen[number]}" if numbers[number] > 1 else key), group))
    return series


def choose_series(series: list[Series], wanted: str | None, name: str) -> tuple[Series, tuple[Finding, ...]]:
    """The series to analyze and what to say about the choice.

    Args:
        series: all series of the input.
        wanted: number or UID ending; None takes the one that is clearly the scan.
        name: of the input, for messages.

    Raises:
        NotCTError: no CT image in the input.
        SeveralSeriesError: more than one series could be meant.
        InputNotFoundError: no series of that number or UID.
    """
    usable = [item for item in series if item.info.kind == "CT"]
    if not usable:
        raise NotCTError(f"{name}: {_what_was_found(series)}; expected axial CT slices; choose the CT series")
    if wanted is not None:
        return _wanted(usable, series, wanted, name), ()
    main = _main(usable)
    if main is None:
        raise SeveralSeriesError(
            f"{name}: {len(usable)} CT series; choose one with --series NUMBER (or the ending of its UID):\n"
            + _listing(usable)
        )
    others = [item for item in series if item is not main]
    return main, (_not_chosen(main, others),) if others else ()


def _by_acquisition(group: list[Frame]) -> list[list[Frame]]:
    """Split a series that holds several whole acquisitions of one place (phases, repeats); else leave it alone."""
    places = {frame.position for frame in group}
    parts: dict[int | None, list[Frame]] = {}
    for frame in group:
        parts.setdefault(frame.acquisition, []).append(frame)
    each_once = all(len({frame.position for frame in part}) == len(part) for part in parts.values())
    return list(parts.values()) if each_once and 2 * len(places) <= len(group) and len(parts) > 1 else [group]


def _belongs(frame: Frame, other: Frame) -> bool:
    if (frame.kind, frame.rows, frame.columns) != (other.kind, other.rows, other.columns):
        return False
    return _close(frame.pixel_spacing, other.pixel_spacing, 1e-3) and _close(frame.orientation, other.orientation, 2e-3)


def _close(first: tuple[float, ...] | None, second: tuple[float, ...] | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return all(abs(a - b) <= tolerance for a, b in zip(first, second, strict=True))


def _info(frames: list[Frame], key: str) -> SeriesInfo:
    first = frames[0]
    return SeriesInfo(
        key=key,
        kind=first.kind,
        description=first.description,
        slices=len(frames),
        rows=first.rows,
        columns=first.columns,
        thickness_mm=first.thickness,
        uid_ending=first.series_uid[-_UID_ENDING:],
    )


def _main(usable: list[Series]) -> Series | None:
    """The one series that can be meant: alone, alone with enough slices, or the only axial one of those."""
    if len(usable) == 1:
        return usable[0]
    large = [item for item in usable if item.info.slices >= FEW_SLICES]
    axial = [item for item in large if item.axial]
    for candidates in (large, axial):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _wanted(usable: list[Series], series: list[Series], wanted: str, name: str) -> Series:
    by_key = [item for item in series if item.info.key == wanted]
    by_number = [item for item in usable if item.info.key.split(".")[0] == wanted]
    by_uid = [item for item in usable if len(wanted) >= 3 and item.frames[0].series_uid.endswith(wanted)]
    for matches in (by_key, by_number, by_uid):
        if len(matches) == 1 and matches[0].info.kind != "CT":
            raise NotCTError(
                f"{name}: series {wanted} is not a CT volume but: {matches[0].info.kind}; choose one of:\n"
                + _listing(usable)
            )
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise SeveralSeriesError(f"{name}: {wanted} stands for several series; choose one:\n{_listing(matches)}")
    raise InputNotFoundError(f"{name}: no series {wanted}; expected one of:\n{_listing(usable)}")


def _what_was_found(series: list[Series]) -> str:
    counts: Counter[str] = Counter()
    for item in series:
        counts[item.info.kind] += item.info.slices
    found = ", ".join(f"{kind} ({counted(count, 'image')})" for kind, count in counts.most_common())
    return f"no CT volume, only: {found}"


def _not_chosen(main: Series, others: list[Series]) -> Finding:
    return Finding(
        code="other-series",
        severity="info",
        text=f"Series {main.info.key} ({counted(main.info.slices, 'slice')}) was read. Not read:\n{_listing(others)}",
        action="Choose another one with --series if this is not the one you mean.",
    )


def _listing(series: list[Series]) -> str:
    lines = [str(item.info) for item in series[:_LISTED]]
    return "\n".join(lines + ([f"... and {len(series) - _LISTED} more"] if len(series) > _LISTED else []))
