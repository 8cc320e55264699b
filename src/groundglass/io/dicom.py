"""DICOM: from files to one CT volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InputError, InvalidGeometryError, SeriesError, UnreadableFileError
from groundglass.finding import Finding
from groundglass.io.assemble import SLAB, volume_from_slabs
from groundglass.io.border import counted, no_warnings
from groundglass.io.dicom_header import Frame, read_frames
from groundglass.io.dicom_pixels import FrameDecoder
from groundglass.io.dicom_series import SeriesInfo, choose_series, group_frames
from groundglass.io.dicom_stack import Stack, build_stack
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

_LISTED = 5


def read_dicom(paths: list[Path], name: str, options: ReadOptions, *, unreadable: tuple[Path, ...] = ()) -> CTVolume:
    """Read the CT series that is meant as a volume in HU.

    Args:
        paths: DICOM files, single- or multi-frame.
        name: of the input, for messages.
        options: case name, series, limits and progress.
        unreadable: files that should be DICOM and are not.

    Raises:
        NotCTError: no CT image.
        SeveralSeriesError: more than one series could be meant.
        SeriesError: the slices form no regular volume.
        UnreadableFileError: a slice is damaged.
        InputTooLargeError: over the limits.
    """
    with no_warnings():
        frames, damaged = _headers(paths)
        bad = (*unreadable, *damaged)
        if not frames:
            raise UnreadableFileError(f"{name}: {_damaged_text(bad)}; copy or export the series again")
        series, findings = choose_series(group_frames(frames), options.series, name)
        chosen = series.frames
        require_size((chosen[0].columns, chosen[0].rows, len(chosen)), name, options.settings)
        decoder = FrameDecoder()
        stack = _stack(chosen, name, decoder, bad, options)
        require_size(stack.geometry.shape, name, options.settings)
        if bad:
            findings = (*findings, _damaged_finding(bad))
        findings = (*findings, *stack.findings, *_rescale_findings(chosen))
        source = Source(options.case, "dicom", stack.geometry, chosen[0].details)
        return volume_from_slabs(source, _slabs(stack, decoder, options), findings)


def describe_series(paths: list[Path], name: str) -> list[SeriesInfo]:
    """All series of some files.

    Raises:
        UnreadableFileError: no file can be read as DICOM.
    """
    with no_warnings():
        frames, damaged = _headers(paths)
        if not frames:
            raise UnreadableFileError(f"{name}: {_damaged_text(tuple(damaged))}; expected DICOM")
        return [series.info for series in group_frames(frames)]


def _headers(paths: list[Path]) -> tuple[list[Frame], list[Path]]:
    frames: list[Frame] = []
    damaged: list[Path] = []
    for path in paths:
        try:
            frames += read_frames(path)
        except InputError:
            damaged.append(path)
    return frames, damaged


def _stack(frames: list[Frame], name: str, decoder: FrameDecoder, bad: tuple[Path, ...], options: ReadOptions) -> Stack:
    try:
        return build_stack(frames, name, decoder.same_pixels, allow_irregular=options.allow_irregular)
    except (SeriesError, InvalidGeometryError) as error:
        if not bad:
            raise
        raise type(error)(f"{error}. Note: {_damaged_text(bad)}") from error


def _slabs(stack: Stack, decoder: FrameDecoder, options: ReadOptions) -> Iterator[NDArray[np.float32]]:
    """(columns, rows, n) pieces of the grid."""
    columns, rows, slices = stack.geometry.shape
    planes = _Planes(stack, decoder)
    for start in range(0, slices, SLAB):
        options.progress("read", start, slices)
        stop = min(start + SLAB, slices)
        slab = np.empty((stop - start, rows, columns), dtype=np.float32)
        for index in range(start, stop):
            slab[index - start] = planes.plane(index)
        yield slab.transpose(2, 1, 0)
    options.progress("read", slices, slices)


class _Planes:
    """Slices of the grid; the last two decoded frames are kept for interpolation."""

    def __init__(self, stack: Stack, decoder: FrameDecoder) -> None:
        self._stack = stack
        self._decoder = decoder
        self._recent: dict[int, NDArray[np.float32]] = {}

    def plane(self, index: int) -> NDArray[np.float32]:
        plane = self._stack.planes[index]
        if plane.weight == 0.0:
            return self._frame(plane.first)
        if plane.weight == 1.0:
            return self._frame(plane.second)
        weight = np.float32(plane.weight)
        return self._frame(plane.first) * (1 - weight) + self._frame(plane.second) * weight

    def _frame(self, index: int) -> NDArray[np.float32]:
        if index not in self._recent:
            self._recent = {key: value for key, value in self._recent.items() if key == index - 1}
            self._recent[index] = self._decoder.hounsfield(self._stack.frames[index])
        return self._recent[index]


def _damaged_text(paths: tuple[Path, ...]) -> str:
    shown = ", ".join(path.name for path in paths[:_LISTED]) + (" ..." if len(paths) > _LISTED else "")
    return f"{counted(len(paths), 'file')} could not be read as DICOM (damaged or encrypted): {shown}"


def _damaged_finding(paths: tuple[Path, ...]) -> Finding:
    return Finding(
        code="unreadable-files",
        severity="warning",
        text=f"{_damaged_text(paths)}.",
        action="Copy or export them again if they belong to this series.",
    )


def _rescale_findings(frames: list[Frame]) -> tuple[Finding, ...]:
    findings = []
    if any(not frame.rescale.known for frame in frames):
        findings.append(
            Finding(
                code="no-rescale",
                severity="warning",
                text="The header does not say how stored values become Hounsfield units; they were taken as they are.",
                action="Export the original images from the archive.",
            )
        )
    units = sorted({frame.rescale.units for frame in frames} - {"", "HU", "US"})
    if units:
        findings.append(
            Finding(
                code="not-hu-units",
                severity="warning",
                text=f"The header says that the values are {', '.join(units)}, not Hounsfield units.",
                action="Use the conventional CT reconstruction instead of a derived map.",
            )
        )
    return tuple(findings)
