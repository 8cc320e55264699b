"""The image planes of a series before they become DICOM: pixels in HU and places in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError
from groundglass.phantom.defects import SeriesDefects
from groundglass.volume import CTVolume


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One image.

    Attributes:
        hu: (rows, columns); row 0 anterior, column 0 at the patient's right.
        position: centre of the first pixel, LPS millimetres.
        orientation: directions of a row and of a column, LPS.
        spacing: millimetres between rows and between columns.
        thickness: slice thickness, millimetres.
        number: InstanceNumber.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
    """

    hu: NDArray[np.float32]
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    spacing: tuple[float, float]
    thickness: float
    number: int
    slope: float = 1.0
    intercept: float = -1024.0


def planes_of(volume: CTVolume, defects: SeriesDefects, rng: np.random.Generator) -> list[Plane]:
    """The planes of a volume from the feet to the head, with the defects that concern geometry and numbers.

    Raises:
        OptionError: a slice to leave out that does not exist, or a volume that is not along the body axes.
    """
    matrix = volume.geometry.affine[:3, :3]
    if not np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-9):
        raise OptionError(f"the volume is oblique ({volume.geometry}); expected axes along the body")
    count = volume.geometry.shape[2]
    wrong = [index for index in defects.missing_slices if not 0 <= index < count]
    if wrong:
        raise OptionError(f"slices {wrong} cannot be left out; the volume has slices 0 to {count - 1}")
    kept = [index for index in range(count) if index not in defects.missing_slices]
    if defects.uneven_spacing:
        kept = [index for index in kept if index < count // 2 or index % 2 == 0]
    planes = [_plane(volume, index, defects) for index in kept]
    if defects.duplicate != "none":
        middle = len(planes) // 2
        copy = planes[middle]
        if defects.duplicate == "different":
            copy = replace(copy, hu=np.clip(copy.hu + 40, -1024, 3071))
        planes.insert(middle + 1, copy)
    planes = [replace(plane, number=number) for number, plane in enumerate(planes, start=1)]
    if defects.shuffled_numbers:
        numbers = rng.permutation(len(planes)) + 1
        planes = [replace(plane, number=int(number)) for plane, number in zip(planes, numbers, strict=True)]
    return [_rescaled(plane, defects) for plane in planes]


def _plane(volume: CTVolume, index: int, defects: SeriesDefects) -> Plane:
    geometry = volume.geometry
    wide, deep, high = geometry.spacing
    columns, rows, _ = geometry.shape
    right, front, height = geometry.world((columns - 1, rows - 1, index)).tolist()
    tilt = np.radians(defects.tilt_degrees)
    hu = volume.axial(index) if tilt == 0 else _tilted(volume, index, float(tilt))
    # A tilted plane turns about the line through the middle of the volume, so its first row lies higher or lower.
    half = (rows - 1) / 2 * deep
    position = (-right, -front + half * (1 - np.cos(tilt)), height - half * np.sin(tilt))
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(np.sin(tilt)))
    plane = Plane(np.ascontiguousarray(hu), position, orientation, (deep, wide), high, 0)
    return plane if defects.matrix is None else _resized(plane, defects.matrix)


def _tilted(volume: CTVolume, index: int, tilt: float) -> NDArray[np.float32]:
    """The volume on a plane turned by `tilt` radians about its middle row, interpolated."""
    columns, rows, count = volume.geometry.shape
    _, deep, high = volume.geometry.spacing
    along = (np.arange(rows) - (rows - 1) / 2) * deep
    back = (rows - 1) / 2 + along * np.cos(tilt) / deep
    level = index + along * np.sin(tilt) / high
    row_low = np.clip(np.floor(back).astype(int), 0, rows - 2)
    low = np.clip(np.floor(level).astype(int), 0, count - 2)
    share, part = np.clip(back - row_low, 0, 1), np.clip(level - low, 0, 1)
    image = np.zeros((rows, columns), dtype=np.float32)
    display = volume.values[::-1, ::-1]
    for row_step, row_weight in ((0, 1 - share), (1, share)):
        for step, weight in ((0, 1 - part), (1, part)):
            image += display[:, row_low + row_step, low + step].T * (row_weight * weight)[:, None].astype(np.float32)
    outside = (level < 0) | (level > count - 1)
    image[outside] = -1000
    return np.rint(image)


def _resized(plane: Plane, size: int) -> Plane:
    """The plane at size x size pixels over the same area."""
    rows, columns = plane.hu.shape
    hu = np.rint(cv2.resize(plane.hu, (size, size), interpolation=cv2.INTER_LINEAR))
    down, across = plane.spacing[0] * rows / size, plane.spacing[1] * columns / size
    shift_across, shift_down = (across - plane.spacing[1]) / 2, (down - plane.spacing[0]) / 2
    row, column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    x, y, z = (np.array(plane.position) + row * shift_across + column * shift_down).tolist()
    return replace(plane, hu=hu, spacing=(down, across), position=(x, y, z))


def _rescaled(plane: Plane, defects: SeriesDefects) -> Plane:
    intercept = 0.0 if defects.signed else -1024.0
    if defects.rescale_per_slice:
        slope = 1.0 + 0.25 * (plane.number % 3)
        return replace(plane, slope=slope, intercept=intercept - 3.0 * (plane.number % 5))
    return replace(plane, intercept=intercept)
