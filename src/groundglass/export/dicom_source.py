"""The DICOM series that was analyzed: found again by its geometry, so that results refer to the right images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from groundglass.errors import (
    GeometryMismatchError,
    InputError,
    InputNotFoundError,
    SeriesError,
    SeveralSeriesError,
    UnsupportedFormatError,
)
from groundglass.export.case import FinishedCase
from groundglass.io.archive import unpacked
from groundglass.io.border import counted, no_warnings
from groundglass.io.dicom_header import read_frames
from groundglass.io.dicom_pixels import FrameDecoder
from groundglass.io.dicom_series import Series, group_frames
from groundglass.io.dicom_stack import Plane, Stack, build_stack
from groundglass.io.folder import look_into
from groundglass.io.sniff import sniff
from groundglass.settings import Settings

_TOLERANCE_MM = 0.02
"""Masks keep their grid as 32-bit numbers; positions in DICOM are decimals."""
_DENSITY_TOLERANCE_HU = 2.0
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The series that the masks lie on.

    Attributes:
        images: its headers without pixels; one per plane of the grid in their order along it, or one multi-frame image.
        stack: the planes of the grid and the frames they come from.
        decoder: reads the pixels.
    """

    images: tuple[Dataset, ...]
    stack: Stack
    decoder: FrameDecoder

    @property
    def reference(self) -> Dataset:
        """A header of the series: patient, study, frame of reference."""
        return self.images[0]

    @property
    def one_image_per_plane(self) -> bool:
        """Whether every plane of the grid is exactly one single-frame image."""
        planes = self.stack.planes
        return len(self.images) == len(planes) and planes == [Plane(i, i, 0.0) for i in range(len(planes))]

    def hounsfield(self, index: int) -> NDArray[np.float32]:
        """HU (rows, columns) of one plane of the grid."""
        plane = self.stack.planes[index]
        first = self.decoder.hounsfield(self.stack.frames[plane.first])
        if plane.weight == 0.0:
            return first
        second = self.decoder.hounsfield(self.stack.frames[plane.second])
        return np.asarray((1 - plane.weight) * first + plane.weight * second, dtype=np.float32)


@contextmanager
def dicom_source(
    path: Path, case: FinishedCase, *, series: str | None = None, settings: Settings | None = None
) -> Iterator[DicomSource]:
    """Find the series on which an analysis was made.

    Args:
        path: DICOM file, folder or ZIP.
        case: the analysis.
        series: number or UID ending, where several series share the grid.
        settings: limits.

    Yields:
        The series, for as long as the context lasts (a ZIP is unpacked meanwhile).

    Raises:
        UnsupportedFormatError: the analysis was made from another format, or there is no DICOM at `path`.
        GeometryMismatchError: no series has the grid of the masks, or its lungs have another density.
        SeveralSeriesError: more than one has.
        InputError: unreadable files.
    """
    limits = settings or Settings.from_environment()
    if case.analysis.source.format != "dicom":
        raise UnsupportedFormatError(
            f"{case.folder}: the analysis was made from {case.analysis.source.format}; DICOM results need a study to "
            "belong to, so analyze the DICOM series itself"
        )
    if not path.exists():
        raise InputNotFoundError(f"{path}: no such file or folder; give the DICOM series that was analyzed")
    if path.is_file() and sniff(path).kind == "zip":
        with unpacked(path, limits) as folder:
            yield _matched(look_into(folder, limits).of("dicom"), path.name, case, series)
        return
    files = look_into(path, limits).of("dicom") if path.is_dir() else [path]
    yield _matched(files, path.name, case, series)


def _matched(files: list[Path], name: str, case: FinishedCase, wanted: str | None) -> DicomSource:
    with no_warnings():
        frames = []
        for file in files:
            try:
                frames += read_frames(file)
            except InputError:
                continue
        if not frames:
            raise UnsupportedFormatError(f"{name}: no DICOM image there; expected the series that was analyzed")
        decoder = FrameDecoder()
        usable = [item for item in group_frames(frames) if item.info.kind == "CT"]
        stacks = [(item, stack) for item in usable if (stack := _stack(item, name, decoder)) is not None]
        if not stacks:
            raise UnsupportedFormatError(f"{name}: no usable CT series there; give the DICOM series that was analyzed")
        fitting = [pair for pair in stacks if _fits(pair[1], case) and _is_wanted(pair[0], wanted)]
        if not fitting:
            raise _mismatch(stacks, case, name)
        if len(fitting) > 1:
            listing = "\n".join(str(item.info) for item, _ in fitting)
            raise SeveralSeriesError(
                f"{name}: {len(fitting)} series lie on the grid of the analysis; choose one with --series:\n{listing}"
            )
        source = _source(fitting[0][1], decoder, name)
        _require_same_lungs(source, case, name)
        return source


def _stack(series: Series, name: str, decoder: FrameDecoder) -> Stack | None:
    try:
        return build_stack(series.frames, name, decoder.same_pixels, allow_irregular=True)
    except InputError:
        return None


def _fits(stack: Stack, case: FinishedCase) -> bool:
    return stack.geometry.matches(case.lungs.source.geometry, tolerance_mm=_TOLERANCE_MM)


def _is_wanted(series: Series, wanted: str | None) -> bool:
    return (
        wanted is None
        or series.info.key.split(".")[0] == wanted.split(".")[0]
        or (len(wanted) >= 3 and series.frames[0].series_uid.endswith(wanted))
    )


def _mismatch(stacks: list[tuple[Series, Stack]], case: FinishedCase, name: str) -> GeometryMismatchError:
    found = "; ".join(f"series {item.info.key}: {stack.geometry}" for item, stack in stacks[:5])
    return GeometryMismatchError(
        f"{name} is not the series that was analyzed: the masks are on {case.lungs.source.geometry} at another place "
        f"or of another size than what was found ({found}); give the series that was analyzed"
    )


def _source(stack: Stack, decoder: FrameDecoder, name: str) -> DicomSource:
    headers: dict[Path, Dataset] = {}
    for frame in stack.frames:
        if frame.path not in headers:
            headers[frame.path] = _complete(pydicom.dcmread(frame.path, force=True, stop_before_pixels=True))
    images = tuple(headers.values())
    lacking = [
        keyword
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
        if not images[0].get(keyword)
    ]
    if lacking:
        raise SeriesError(
            f"{name}: the images have no {', '.join(lacking)}; DICOM results must refer to them; "
            "export the original images from the archive"
        )
    return DicomSource(images, stack, decoder)


def _complete(header: Dataset) -> Dataset:
    """The header with the attributes that the standard wants even where they are empty (type 2)."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _require_same_lungs(source: DicomSource, case: FinishedCase, name: str) -> None:
    """Raise unless the lungs are as dense as in the analysis: scans of two patients may share a grid."""
    expected = case.analysis.measurements.mean_lung_hu
    if expected is None or any(finding.code.startswith("hu-") for finding in case.analysis.findings):
        return
    lungs = case.lungs.on_source_grid()
    total, voxels = 0.0, 0
    for index in range(lungs.shape[2]):
        inside = lungs[:, :, index].T > 0
        if inside.any():
            total += float(source.hounsfield(index)[inside].sum(dtype=np.float64))
            voxels += int(np.count_nonzero(inside))
    mean = total / max(voxels, 1)
    if abs(mean - expected) > _DENSITY_TOLERANCE_HU:
        raise GeometryMismatchError(
            f"{name} lies on the grid of the analysis but is another scan: its lungs have a mean of {mean:.0f} HU, "
            f"{counted(voxels, 'voxel')}; the analysis found {expected:.0f} HU; give the series that was analyzed"
        )
