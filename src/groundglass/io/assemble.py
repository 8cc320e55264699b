"""From an array and its affine to a `CTVolume`: the one way in, whatever the file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.errors import InvalidGeometryError, InvalidImageError, NotCTError
from groundglass.finding import Finding
from groundglass.geometry import Geometry, Shape3, Vector3
from groundglass.io.border import counted
from groundglass.volume import CTVolume, Source

AIR_HU = -1024.0
SLAB = 8
"""Slices handled at a time: the working memory stays small and the reordering of axes stays in the cache."""


def affine_from_lps(origin: Vector3, steps: ArrayLike) -> NDArray[np.float64]:
    """RAS affine of a grid described in LPS, the world of DICOM and ITK (x to the left, y to posterior).

    Args:
        origin: LPS position of voxel (0, 0, 0) in millimetres.
        steps: 3x3, column n is the LPS step in millimetres from one voxel to the next along array axis n.
    """
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = origin
    affine[:2] *= -1.0
    return affine


def named_grid(shape: Shape3, affine: ArrayLike, name: str) -> Geometry:
    """A `Geometry` whose complaints name the file.

    Raises:
        InvalidGeometryError: as `Geometry`, with the name in front.
    """
    try:
        return Geometry(shape, np.asarray(affine, dtype=np.float64))
    except InvalidGeometryError as error:
        raise InvalidGeometryError(f"{name}: {error}; repair the header or export the scan again") from None


def volume_from_slabs(source: Source, slabs: Iterable[NDArray[Any]], findings: tuple[Finding, ...] = ()) -> CTVolume:
    """Fill a volume piece by piece, straight in RAS+ order, so that no second copy of it ever exists.

    Args:
        source: origin and grid of the file.
        slabs: consecutive (i, j, n) pieces along the last axis of the file's grid, in HU.
        findings: remarks made so far.

    Raises:
        InvalidImageError: no finite value.
    """
    grid = source.geometry
    order = grid.ras_order()
    shape = grid.reordered(order).shape
    target: NDArray[Any] = order.undo(np.empty(shape, dtype=np.int16, order="F"))
    filled, missing = 0, 0
    for slab in slabs:
        if target.dtype == np.int16 and not _whole_numbers(slab):
            target, whole = order.undo(np.empty(shape, dtype=np.float32, order="F")), target
            target[:, :, :filled] = whole[:, :, :filled]
            del whole
        piece = target[:, :, filled : filled + slab.shape[2]]
        with np.errstate(over="ignore", invalid="ignore"):
            piece[...] = slab
        if target.dtype == np.float32:
            missing += _replace_non_finite(piece)
        filled += slab.shape[2]
    if filled != grid.shape[2]:
        raise InvalidImageError(f"{source.case}: {filled} slices were read; expected {grid.shape[2]}")
    if missing:
        findings = (*findings, _non_finite(missing, target.size, source.case))
    return CTVolume.from_source(target, source, findings=findings)


def volume_from_array(
    array: NDArray[Any],
    source: Source,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    findings: tuple[Finding, ...] = (),
) -> CTVolume:
    """A volume from a whole array on the file's grid.

    Args:
        array: (i, j, k), any real number type.
        source: origin and grid.
        slope: HU per stored value.
        intercept: HU of the stored value 0.
        findings: remarks made so far.

    Raises:
        InvalidImageError: complex, text or object values, or no finite value.
        NotCTError: colours.
    """
    require_real_numbers(array.dtype, source.case)
    return volume_from_slabs(source, _rescaled(array, slope, intercept), findings)


def require_real_numbers(dtype: np.dtype[Any], name: str) -> None:
    """Raise unless the voxel type is a boolean, integer or floating point number.

    Raises:
        InvalidImageError: complex, text or object values.
        NotCTError: colours.
    """
    if dtype.names is not None:
        raise NotCTError(f"{name}: the voxels are colours ({', '.join(dtype.names)}); expected one CT number each")
    if dtype.kind not in "biuf":
        raise InvalidImageError(f"{name}: the voxels are of the type {dtype}; expected integers or real numbers")


def spatial_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """The three sizes of a volume; further axes of size 1 are dropped.

    Raises:
        InvalidImageError: fewer than three axes, several frames or channels, or an empty axis.
    """
    sizes = "x".join(str(size) for size in shape)
    if len(shape) < 3:
        raise InvalidImageError(
            f"{name}: the image has {len(shape)} axes ({sizes or 'one number'}); expected a volume with three; "
            "for single slices give PNG or JPEG pictures"
        )
    if any(size < 1 for size in shape):
        raise InvalidImageError(f"{name}: the image has the size {sizes}; expected at least one voxel along each axis")
    if any(size != 1 for size in shape[3:]):
        raise InvalidImageError(
            f"{name}: the image has {len(shape)} axes ({sizes}), so several frames or channels; expected one volume; "
            "save the frame you want as a file of its own"
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def _rescaled(array: NDArray[Any], slope: float, intercept: float) -> Iterator[NDArray[Any]]:
    for start in range(0, array.shape[2], SLAB):
        slab = array[:, :, start : start + SLAB]
        if slope == 1.0 and intercept == 0.0:
            yield slab
        else:
            yield slab.astype(np.float64) * slope + intercept


def _whole_numbers(slab: NDArray[Any]) -> bool:
    """Whether every value can be stored as a 16-bit whole number without change."""
    if np.can_cast(slab.dtype, np.int16):
        return True
    if not slab.size:
        return True
    limits = np.iinfo(np.int16)
    if not (slab.min() >= limits.min and slab.max() <= limits.max):
        return False
    return slab.dtype.kind in "iu" or bool((slab.astype(np.int16) == slab).all())


def _replace_non_finite(piece: NDArray[np.float32]) -> int:
    finite = np.isfinite(piece)
    count = int(finite.size - np.count_nonzero(finite))
    if count:
        piece[~finite] = AIR_HU
    return count


def _non_finite(count: int, total: int, name: str) -> Finding:
    if count == total:
        raise InvalidImageError(f"{name}: every voxel is NaN or infinite; expected CT numbers; export the scan again")
    return Finding(
        code="non-finite-voxels",
        severity="warning",
        text=f"{counted(count, 'voxel')} ({100 * count / total:.2g} %) without a number (NaN or infinite) read as air.",
        action="Export the scan again without masking or resampling if these voxels lie inside the chest.",
    )
