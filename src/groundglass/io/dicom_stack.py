"""From image planes to one regular grid: order, doubled slices, gaps, tilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import SeriesError
from groundglass.finding import Finding
from groundglass.geometry import Geometry
from groundglass.io.assemble import affine_from_lps, named_grid
from groundglass.io.border import counted
from groundglass.io.dicom_header import Cosines, Frame
from groundglass.io.dicom_series import plane_normal

SamePixels = Callable[[Frame, Frame], bool]

_SAME_PLACE_MM = 0.01
_STEP_TOLERANCE = 0.1
_ROUNDING_MM = 0.1
"""Positions are often written with one decimal."""
_TILT_DEGREES = 0.5
_LISTED = 5
_MOST_INSERTED = 4


@dataclass(frozen=True, slots=True)
class Plane:
    """A slice of the volume: `(1 - weight) * frames[first] + weight * frames[second]`."""

    first: int
    second: int
    weight: float


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in order and the grid that they form.

    Attributes:
        frames: sorted along the normal of the planes, each place once.
        planes: how each slice of the grid comes from the frames.
        geometry: (columns, rows, slices).
        findings: remarks.
    """

    frames: list[Frame]
    planes: list[Plane]
    geometry: Geometry
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A frame and where it is."""

    frame: Frame
    position: NDArray[np.float64]
    depth: float

    def __str__(self) -> str:
        inside = f" frame {self.frame.index + 1}" if self.frame.index else ""
        return f"{self.frame.path.name}{inside} ({self.depth:.2f} mm)"


def build_stack(frames: list[Frame], name: str, same_pixels: SamePixels, *, allow_irregular: bool) -> Stack:
    """Order the frames of one series and find their grid.

    Args:
        frames: same size, spacing and orientation.
        name: of the input, for messages.
        same_pixels: whether two frames at one place hold the same image.
        allow_irregular: interpolate onto a regular grid instead of refusing gaps and uneven steps.

    Raises:
        SeriesError: no position, spacing or orientation; two images at one place; gaps or uneven steps.
        InvalidGeometryError: a spacing of zero or singular directions.
    """
    orientation, spacing = _require_placement(frames, name)
    placed = _sorted(frames, orientation)
    placed, findings = _without_doubles(placed, name, same_pixels)
    if len(placed) == 1:
        step, planes = _single_step(placed[0], orientation, name), [Plane(0, 0, 0.0)]
        findings = (*findings, _SINGLE_SLICE)
    else:
        step, planes, remarks = _regular_grid(placed, name, allow_irregular=allow_irregular)
        findings = (*findings, *remarks, *_tilt(step, orientation))
    steps = np.column_stack([np.multiply(orientation[:3], spacing[1]), np.multiply(orientation[3:], spacing[0]), step])
    first = placed[0]
    shape = (first.frame.columns, first.frame.rows, len(planes))
    x, y, z = (float(value) for value in first.position)
    return Stack(
        [item.frame for item in placed], planes, named_grid(shape, affine_from_lps((x, y, z), steps), name), findings
    )


def _require_placement(frames: list[Frame], name: str) -> tuple[Cosines, tuple[float, float]]:
    for attribute, tag in (
        ("position", "ImagePositionPatient (0020,0032)"),
        ("orientation", "ImageOrientationPatient (0020,0037)"),
        ("pixel_spacing", "PixelSpacing (0028,0030)"),
    ):
        lacking = [frame for frame in frames if getattr(frame, attribute) is None]
        if lacking:
            raise SeriesError(
                f"{name}: {len(lacking)} of {counted(len(frames), 'slice')} without a valid {tag} "
                f"(first: {lacking[0].path.name}), so their place in the patient is unknown; "
                "export the original images from the archive"
            )
    orientation, spacing = frames[0].orientation, frames[0].pixel_spacing
    if orientation is None or spacing is None:
        raise SeriesError(f"{name}: no slice has an orientation and a spacing")
    return orientation, spacing


def _sorted(frames: list[Frame], orientation: Cosines) -> list[_Placed]:
    normal = plane_normal(orientation)
    placed = [
        _Placed(frame, position := np.asarray(frame.position, dtype=np.float64), float(position @ normal))
        for frame in frames
    ]
    return sorted(placed, key=lambda item: (item.depth, item.frame.path.name, item.frame.index))


def _without_doubles(
    placed: list[_Placed], name: str, same_pixels: SamePixels
) -> tuple[list[_Placed], tuple[Finding, ...]]:
    kept, dropped = [placed[0]], []
    for item in placed[1:]:
        if item.depth - kept[-1].depth > _SAME_PLACE_MM:
            kept.append(item)
        elif same_pixels(kept[-1].frame, item.frame):
            dropped.append(item)
        else:
            raise SeriesError(
                f"{name}: two different images at the same place: {kept[-1]} and {item}; expected one image per "
                "place; the series mixes two scans or reconstructions, export them separately"
            )
    if not dropped:
        return kept, ()
    text = f"{counted(len(dropped), 'slice')} found twice with the same pixels and used once: {_named(dropped)}."
    return kept, (Finding(code="duplicate-slices", severity="warning", text=text),)


def _single_step(item: _Placed, orientation: Cosines, name: str) -> NDArray[np.float64]:
    if item.frame.thickness is None:
        raise SeriesError(
            f"{name}: a single slice without SliceThickness (0018,0050), so its volume is unknown; "
            "give the whole series"
        )
    return plane_normal(orientation) * item.frame.thickness


def _regular_grid(
    placed: list[_Placed], name: str, *, allow_irregular: bool
) -> tuple[NDArray[np.float64], list[Plane], tuple[Finding, ...]]:
    positions = np.array([item.position for item in placed])
    depths = np.array([item.depth for item in placed])
    count = len(placed)
    step = (positions[-1] - positions[0]) / (count - 1)
    _require_straight(positions, depths, placed, name)
    expected = depths[0] + np.arange(count) * (depths[-1] - depths[0]) / (count - 1)
    if np.abs(depths - expected).max() <= _tolerance(np.diff(depths)):
        return step, [Plane(index, index, 0.0) for index in range(count)], ()
    where = _irregular_places(placed, np.diff(depths))
    if not allow_irregular:
        raise SeriesError(
            f"{name}: {where}; expected slices at even steps; export the whole series again, or pass --allow-irregular "
            "to interpolate between the slices that are there"
        )
    return _interpolated(positions, depths, where)


def _tolerance(gaps: NDArray[np.float64]) -> float:
    """How far a slice may be from its even place: a tenth of a step, or rounding where steps are thin."""
    step = float(np.median(gaps))
    return max(_STEP_TOLERANCE * step, min(_ROUNDING_MM, step / 4))


def _require_straight(
    positions: NDArray[np.float64], depths: NDArray[np.float64], placed: list[_Placed], name: str
) -> None:
    """Raise unless the first pixels lie on one line; a slanted line is gantry tilt."""
    share = (depths - depths[0]) / (depths[-1] - depths[0])
    line = positions[0] + share[:, None] * (positions[-1] - positions[0])
    off = np.linalg.norm(positions - line, axis=1)
    worst = int(off.argmax())
    if off[worst] > max(0.5, _tolerance(np.diff(depths))):
        raise SeriesError(
            f"{name}: the slices are shifted sideways against each other by up to {off[worst]:.1f} mm "
            f"(at {placed[worst]}); expected one straight stack; the series mixes scans, export them separately"
        )


def _irregular_places(placed: list[_Placed], gaps: NDArray[np.float64]) -> str:
    usual = float(np.median(gaps))
    ratios = gaps / usual
    odd = [index for index in range(len(gaps)) if abs(gaps[index] - usual) > _tolerance(gaps)]
    whole = bool(odd) and all(abs(ratios[index] - round(ratios[index])) <= 0.2 and ratios[index] > 1.5 for index in odd)
    if not odd:
        return f"the steps between slices drift from {gaps.min():.3g} to {gaps.max():.3g} mm"
    places = ", ".join(
        f"between {placed[index]} and {placed[index + 1]}"
        + (f" ({round(ratios[index]) - 1} missing)" if whole else f" (step {gaps[index]:.3g} mm)")
        for index in odd[:_LISTED]
    )
    more = f" and {len(odd) - _LISTED} more places" if len(odd) > _LISTED else ""
    if whole:
        missing = sum(round(float(ratios[index])) - 1 for index in odd)
        return f"{counted(missing, 'slice')} missing (usual step {usual:.3g} mm): {places}{more}"
    return f"the steps between slices are uneven (usual step {usual:.3g} mm): {places}{more}"


def _interpolated(
    positions: NDArray[np.float64], depths: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], list[Plane], tuple[Finding, ...]]:
    """Planes at even steps, each between its two neighbours; places that are there already are taken as they are."""
    span = float(depths[-1] - depths[0])
    slices = max(2, round(span / float(np.median(np.diff(depths)))) + 1)
    if slices > _MOST_INSERTED * len(depths) + 1:
        raise SeriesError(f"{where}; too many slices are missing to interpolate; export the whole series again")
    planes = []
    for depth in depths[0] + np.arange(slices) * span / (slices - 1):
        upper = int(np.clip(np.searchsorted(depths, depth), 1, len(depths) - 1))
        weight = float(np.clip((depth - depths[upper - 1]) / (depths[upper] - depths[upper - 1]), 0.0, 1.0))
        near = round(weight) if abs(weight - round(weight)) < 0.02 else weight
        planes.append(Plane(upper - 1, upper, float(near)))
    finding = Finding(
        code="slices-interpolated",
        severity="warning",
        text=f"{where[0].upper()}{where[1:]}. The scan was interpolated to {slices} slices at even steps.",
        action="Treat the numbers of these places as estimates; export the whole series again if you can.",
    )
    return (positions[-1] - positions[0]) / (slices - 1), planes, (finding,)


def _tilt(step: NDArray[np.float64], orientation: Cosines) -> tuple[Finding, ...]:
    cosine = float(step @ plane_normal(orientation) / np.linalg.norm(step))
    degrees = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if degrees < _TILT_DEGREES:
        return ()
    text = f"The slices are tilted by {degrees:.1f} degrees against the direction of the stack (gantry tilt)."
    action = "Volumes are exact; viewers that ignore the tilt show the result sheared."
    return (Finding(code="gantry-tilt", severity="warning", text=text, action=action),)


def _named(items: list[_Placed]) -> str:
    return ", ".join(str(item) for item in items[:_LISTED]) + (" ..." if len(items) > _LISTED else "")


_SINGLE_SLICE = Finding(
    code="single-slice",
    severity="warning",
    text="Only one slice was read; its thickness stands for the height of the volume.",
    action="Give the folder of the series to analyze the whole scan.",
)
