"""Planes of a scan prepared for looking at: which slices, which part of them, in the lung window, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.image.morphology import bounding_box
from groundglass.image.spatial import runs_alike
from groundglass.volume import CTVolume, LabelMap, PictureSet

LUNG_WINDOW = (-1350.0, 150.0)
"""Darkest and brightest HU: level -600, width 1500, as radiologists read lungs."""

_MARGIN_MM = 14.0
_MARGIN_SHARE = 0.04
"""The same for pictures, whose millimetres nobody knows: share of a side."""
_VOLUME = 4
"""Pictures that follow each other from which on they are shown as a volume."""

Box = tuple[slice, slice, slice]
Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One picture to show, with its labels.

    Attributes:
        grey: uint8 (rows, columns) in display orientation.
        lungs: uint8 of the same shape, 1 = right, 2 = left.
        infection: uint8 of the same shape, 1 = ground-glass, 2 = consolidation.
        pixel_mm: height and width of a pixel; None where unknown.
        letters: patient directions at the left, right, top and bottom border; empty where unknown.
        title: what it shows, e.g. `Slice 12 of 148`.
        position: where it is, e.g. `z −312 mm`; may be empty.
        index: place in the series: slice number from the head (1 = topmost), or number of the picture; 0 otherwise.
        percent: infected share of the lung in this picture; None without lung.
    """

    grey: Grey
    lungs: Grey
    infection: Grey
    pixel_mm: tuple[float, float] | None
    letters: tuple[str, str, str, str] = ("", "", "", "")
    title: str = ""
    position: str = ""
    index: int = 0
    percent: float | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width in millimetres, or in pixels where millimetres are unknown."""
        height, width = self.pixel_mm or (1.0, 1.0)
        return self.grey.shape[0] * height, self.grey.shape[1] * width


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Areas per axial slice, from the feet to the head.

    Attributes:
        lung_cm2: lung including infection.
        ground_glass_cm2: ground-glass.
        consolidation_cm2: consolidation.
        box: part of the volume around the lungs, with a margin; all of it without lungs.
        lung_slices: first and last slice (from the feet) with lung; None without lungs.
        silhouettes: for right and left lung, bool (slices, columns) seen from the front: row 0 = head, column 0 =
            the patient's right; within `box`.
        richest: x of the sagittal and y of the coronal plane with much infection and much lung (a plane that only
            grazes a lung says little).
    """

    lung_cm2: NDArray[np.float64]
    ground_glass_cm2: NDArray[np.float64]
    consolidation_cm2: NDArray[np.float64]
    box: Box
    lung_slices: tuple[int, int] | None
    silhouettes: tuple[NDArray[np.bool_], NDArray[np.bool_]] = field(repr=False)
    richest: tuple[int, int]

    @property
    def infected_cm2(self) -> NDArray[np.float64]:
        """Ground-glass and consolidation together."""
        return np.asarray(self.ground_glass_cm2 + self.consolidation_cm2)

    def percent(self, z: int) -> float | None:
        """Infected share of the lung in one slice; None without lung."""
        return float(100.0 * self.infected_cm2[z] / self.lung_cm2[z]) if self.lung_cm2[z] > 0 else None


def profile(lungs: LabelMap, infection: LabelMap) -> Profile:
    """Measure lung and infection slice by slice.

    Args:
        lungs: 1 = right, 2 = left.
        infection: 1 = ground-glass, 2 = consolidation, on the same grid.
    """
    spacing, depth = lungs.geometry.spacing, lungs.geometry.shape[2]
    tight = _occupied(lungs.labels)
    box = _widened(tight, lungs.geometry.shape, spacing)
    inside, infected = lungs.labels[box], infection.labels[box]
    pixel_cm2 = spacing[0] * spacing[1] / 100.0
    areas = np.zeros((3, depth))
    for row, part in zip(areas, (inside > 0, infected == 1, infected == 2), strict=True):
        row[box[2]] = np.add.reduce(part, axis=(0, 1), dtype=np.uint32) * pixel_cm2
    fronts = [(inside == label).any(axis=1)[::-1, ::-1].T for label in (1, 2)]
    span = (tight[2].start, tight[2].stop - 1) if tight else None
    return Profile(areas[0], areas[1], areas[2], box, span, (fronts[0], fronts[1]), _richest(inside, infected, box))


def spread_slices(measured: Profile, count: int, *, most_infected: int = 3) -> list[int]:
    """Choose axial slices: evenly over the lungs, the most infected ones certainly among them.

    Args:
        measured: profile of the scan.
        count: how many slices at most.
        most_infected: how many of the most infected regions are certainly shown.

    Returns:
        Slice indices from the feet, in order from the head to the feet.
    """
    depth = len(measured.lung_cm2)
    first, last = measured.lung_slices or (0, depth - 1)
    return sorted(_spread(measured.infected_cm2, first, last, count, most_infected), reverse=True)


def _spread(infected: NDArray[np.float64], first: int, last: int, count: int, most_infected: int) -> set[int]:
    """Numbers evenly spread from `first` to `last`, and in place of some the peaks of the infection, apart."""
    count = min(count, last - first + 1)
    centres = first + (np.arange(count) + 0.5) * (last - first + 1) / count - 0.5
    even = [int(z) for z in np.rint(centres)]
    step = (last - first + 1) / count
    area = infected.copy()
    worst: list[int] = []
    for _ in range(min(most_infected, count)):
        peak = int(area.argmax())
        if area[peak] <= 0:
            break
        even.remove(min(even, key=lambda z: abs(z - peak)))
        worst.append(peak)
        area[max(0, int(peak - step)) : int(np.ceil(peak + step)) + 1] = 0.0
    return {*even, *worst}


def axial_views(
    volume: CTVolume, lungs: LabelMap, infection: LabelMap, measured: Profile, slices: Sequence[int]
) -> list[View]:
    """Axial views of some slices, cut to the lungs' surroundings.

    Args:
        volume: the scan.
        lungs: lung labels on its grid.
        infection: infection labels on its grid.
        measured: profile of the scan.
        slices: indices from the feet.
    """
    across, deep, _ = measured.box
    picked = np.asarray(slices, dtype=np.intp)
    scans = volume.values[across, deep][:, :, picked][::-1, ::-1]
    lung_stack, lesion_stack = (labels.labels[across, deep][:, :, picked][::-1, ::-1] for labels in (lungs, infection))
    width, height, depth = volume.geometry.spacing[0], volume.geometry.spacing[1], volume.geometry.shape[2]
    views = []
    for place, z in enumerate(slices):
        views.append(
            View(
                _windowed(scans[:, :, place].T, volume),
                np.ascontiguousarray(lung_stack[:, :, place].T),
                np.ascontiguousarray(lesion_stack[:, :, place].T),
                (height, width),
                ("R", "L", "A", "P"),
                f"Slice {depth - z} of {depth}",
                f"z {_millimetres(volume, 2, z)}",
                depth - z,
                measured.percent(z),
            )
        )
    return views


def coronal_view(volume: CTVolume, lungs: LabelMap, infection: LabelMap, measured: Profile) -> View:
    """A plane seen from the front, through much infection and much lung."""
    across, _, tall = measured.box
    y = measured.richest[1]
    spacing = volume.geometry.spacing
    return View(
        _windowed(volume.values[across, y, tall][::-1, ::-1].T, volume),
        np.ascontiguousarray(lungs.labels[across, y, tall][::-1, ::-1].T),
        np.ascontiguousarray(infection.labels[across, y, tall][::-1, ::-1].T),
        (spacing[2], spacing[0]),
        ("R", "L", "H", "F"),
        "Coronal",
        f"y {_millimetres(volume, 1, y)}",
    )


def sagittal_view(volume: CTVolume, lungs: LabelMap, infection: LabelMap, measured: Profile) -> View:
    """A plane seen from the patient's left, through much infection and much lung."""
    _, deep, tall = measured.box
    x = measured.richest[0]
    spacing = volume.geometry.spacing
    return View(
        _windowed(volume.values[x, deep, tall][::-1, ::-1].T, volume),
        np.ascontiguousarray(lungs.labels[x, deep, tall][::-1, ::-1].T),
        np.ascontiguousarray(infection.labels[x, deep, tall][::-1, ::-1].T),
        (spacing[2], spacing[1]),
        ("A", "P", "H", "F"),
        "Sagittal",
        f"x {_millimetres(volume, 0, x)}",
    )


def picture_views(
    pictures: PictureSet, lungs: Sequence[Grey], infection: Sequence[Grey], chosen: Sequence[int]
) -> list[View]:
    """Views of some pictures of a set; nothing is known about their orientation or size in millimetres.

    The pictures of a volume are cut to the surroundings of its lungs, as the slices of a scan are.
    """
    views, frames = [], _frames(pictures, lungs)
    for place in chosen:
        picture, lung, lesion, shown = pictures.slices[place], lungs[place], infection[place], frames[place]
        covered = np.count_nonzero(lung)
        percent = 100.0 * np.count_nonzero(lesion) / covered if covered else None
        title, name = f"Picture {place + 1} of {len(pictures.slices)}", picture.name
        views.append(
            View(
                picture.pixels[shown],
                lung[shown],
                lesion[shown],
                None,
                title=title,
                position=name,
                index=place + 1,
                percent=percent,
            )
        )
    return views


def _frames(pictures: PictureSet, lungs: Sequence[Grey]) -> list[tuple[slice, slice]]:
    """The part of each picture to show."""
    frames: list[tuple[slice, slice]] = []
    for run in runs_alike([picture.pixels for picture in pictures.slices]):
        rows, columns = pictures.slices[run[0]].pixels.shape
        frame = slice(0, rows), slice(0, columns)
        tight = bounding_box(np.maximum.reduce([lungs[number] for number in run])) if len(run) >= _VOLUME else None
        if tight is not None:
            frame = _around(tight[0], rows), _around(tight[1], columns)
        frames += [frame] * len(run)
    return frames


def _around(part: slice, size: int) -> slice:
    margin = round(_MARGIN_SHARE * size)
    return slice(max(0, part.start - margin), min(size, part.stop + margin))


def spread_pictures(infection: Sequence[Grey], count: int) -> list[int]:
    """Choose pictures of a set: all if they fit, else evenly spread with four of the most infected, in order."""
    total = len(infection)
    if total <= count:
        return list(range(total))
    infected = np.array([np.count_nonzero(mask) for mask in infection], dtype=np.float64)
    return sorted(_spread(infected, 0, total - 1, count, most_infected=4))


def _windowed(scan: NDArray[np.float32 | np.int16], volume: CTVolume) -> Grey:
    low, high = LUNG_WINDOW if volume.units == "HU" else (0.0, 255.0)
    scale = 255.0 / (high - low)
    above = np.clip(np.asarray(scan, dtype=np.float32), low, high) - low
    shown = cv2.convertScaleAbs(above, alpha=scale)
    return np.asarray(shown, dtype=np.uint8)


def _millimetres(volume: CTVolume, axis: int, index: int) -> str:
    """World position along `axis` of the middle of a plane."""
    place = [(size - 1) / 2 for size in volume.geometry.shape]
    place[axis] = index
    return f"{volume.geometry.world(place)[axis]:.1f} mm".replace("-", "−")


def _richest(lungs: Grey, infection: Grey, box: Box) -> tuple[int, int]:
    """The planes of `Profile.richest`, from the labels inside the box."""
    # Seen from above: one pass over the scan in the order of memory serves both directions.
    above = [np.add.reduce(labels > 0, axis=2, dtype=np.uint16) for labels in (lungs, infection)]
    chosen = []
    for axis in (0, 1):
        lung, infected = (seen.sum(axis=1 - axis, dtype=np.float64) for seen in above)
        best = (lung * infected if infected.any() else lung).argmax() if lung.any() else lung.size // 2
        chosen.append(int(best) + box[axis].start)
    return chosen[0], chosen[1]


def _occupied(labels: Grey) -> Box | None:
    """Smallest box around all labels."""
    # The axes in the order of memory: a reduction across it takes fifty times as long.
    box = bounding_box(labels.T)
    return None if box is None else (box[2], box[1], box[0])


def _widened(tight: Box | None, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Box:
    if tight is None:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    wide = []
    for part, size, step in zip(tight, shape, spacing, strict=True):
        margin = int(np.ceil(_MARGIN_MM / step))
        wide.append(slice(max(0, part.start - margin), min(size, part.stop + margin)))
    return wide[0], wide[1], wide[2]
