"""DICOM: from files to one CT volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from groundglass.io.dicom_stack import Plane, Stack, build_stack
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

_LISTED = 5
_DECODERS = 2
"""Frames decoded at a time; more gain little, for half of the work holds the interpreter's lock."""


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
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode") as helper:
        frames = _Frames(stack, decoder, helper)
        for start in range(0, slices, SLAB):
            options.progress("read", start, slices)
            planes = stack.planes[start : start + SLAB]
            decoded = frames.of(planes)
            slab = np.empty((len(planes), rows, columns), dtype=np.float32)
            for target, plane in zip(slab, planes, strict=True):
                _blend(target, plane, decoded)
            yield slab.transpose(2, 1, 0)
    options.progress("read", slices, slices)


def _blend(target: NDArray[np.float32], plane: Plane, decoded: dict[int, NDArray[np.float32]]) -> None:
    if plane.weight in {0.0, 1.0}:
        target[...] = decoded[plane.second if plane.weight else plane.first]
        return
    weight = np.float32(plane.weight)
    target[...] = decoded[plane.first] * (1 - weight) + decoded[plane.second] * weight


class _Frames:
    """Decoded frames, several at a time where each lies in a file of its own; the last ones are kept."""

    def __init__(self, stack: Stack, decoder: FrameDecoder, helper: ThreadPoolExecutor) -> None:
        self._frames = stack.frames
        self._decoder = decoder
        alone = len({frame.path for frame in stack.frames}) == len(stack.frames)
        self._map = helper.map if alone else map
        self._alone = alone
        self._kept: dict[int, NDArray[np.float32]] = {}

    def of(self, planes: Sequence[Plane]) -> dict[int, NDArray[np.float32]]:
        """The frames that make up some planes, by their number."""
        wanted = sorted({index for plane in planes for index in _sources(plane)})
        new = [index for index in wanted if index not in self._kept]
        decoded = dict(zip(new, self._map(self._hounsfield, new), strict=True))
        self._kept = {index: decoded[index] if index in decoded else self._kept[index] for index in wanted}
        return self._kept

    def _hounsfield(self, index: int) -> NDArray[np.float32]:
        # A decoder keeps the file that it read last, so threads cannot share one.
        decoder = FrameDecoder() if self._alone else self._decoder
        return decoder.hounsfield(self._frames[index])


def _sources(plane: Plane) -> tuple[int, ...]:
    if plane.weight in {0.0, 1.0}:
        return (plane.second,) if plane.weight else (plane.first,)
    return plane.first, plane.second


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
