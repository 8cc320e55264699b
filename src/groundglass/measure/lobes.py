"""Lobe by lobe, with a lobe mask that the user brings: the 0 to 25 score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from groundglass.analysis import Lobe
from groundglass.errors import GeometryMismatchError, InvalidImageError
from groundglass.measure.burden import percent
from groundglass.volume import LabelMap

LOBES = ("right upper lobe", "right middle lobe", "right lower lobe", "left upper lobe", "left lower lobe")

TOTALSEGMENTATOR: Mapping[int, str] = {
    10: "left upper lobe",
    11: "left lower lobe",
    12: "right upper lobe",
    13: "right middle lobe",
    14: "right lower lobe",
}
LUNGMASK: Mapping[int, str] = {
    1: "left upper lobe",
    2: "left lower lobe",
    3: "right upper lobe",
    4: "right middle lobe",
    5: "right lower lobe",
}
EDGES = (5.0, 25.0, 50.0)
TOP_EDGE = 75.0


def lobe_names(values: set[int]) -> Mapping[int, str]:
    """Which label values are which lobe.

    Args:
        values: the values of a mask. Any of 10 to 14 makes it one of TotalSegmentator's, whose other values are other
            organs; else 1 to 5 are read in lungmask's order (left upper, left lower, right upper, middle, lower).

    Raises:
        InvalidImageError: neither.
    """
    if values & set(TOTALSEGMENTATOR):
        return TOTALSEGMENTATOR
    if values - {0} and values <= {0, *LUNGMASK}:
        return LUNGMASK
    found = ", ".join(str(value) for value in sorted(values)[:10])
    raise InvalidImageError(
        f"the lobe mask holds the values {found}; expected 10 to 14 (TotalSegmentator) or 1 to 5 (lungmask)"
    )


def lobe_score(share: float | None, infected: bool) -> int | None:
    """Severity score of a lobe: 0 none, 1 below 5 %, 2 below 25 %, 3 below 50 %, 4 up to 75 %, 5 above 75 %."""
    if share is None:
        return None
    if not infected:
        return 0
    return 5 if share > TOP_EDGE else 1 + int(np.searchsorted(EDGES, share, side="right"))


def measure_lobes(lobes: LabelMap, infection: LabelMap) -> tuple[list[Lobe], int | None]:
    """Measure each lobe.

    Args:
        lobes: labels of TotalSegmentator or lungmask.
        infection: any label counts, on the same grid.

    Returns:
        The five lobes from the right upper to the left lower one, and the sum of their scores, 0 to 25; None where a
        lobe is missing from the mask.

    Raises:
        GeometryMismatchError: the masks are on different grids.
        InvalidImageError: the values are not those of lobes.
    """
    if not lobes.geometry.matches(infection.geometry, tolerance_mm=0.05):
        raise GeometryMismatchError(
            f"the lobe mask is on {lobes.geometry}, the scan on {infection.geometry}; "
            "make the lobe mask from the scan that is analyzed"
        )
    counts = np.bincount(lobes.labels.ravel(order="K"), minlength=256)
    names = lobe_names({int(value) for value in np.flatnonzero(counts)})
    sick = np.bincount(lobes.labels[infection.labels > 0], minlength=256)
    value_of = {name: value for value, name in names.items()}
    voxel_ml = lobes.geometry.voxel_ml
    found = []
    for name in LOBES:
        lung, infected = int(counts[value_of[name]]), int(sick[value_of[name]])
        share = percent(infected, lung)
        found.append(
            Lobe(
                name=name,
                lung_ml=lung * voxel_ml,
                infection_ml=infected * voxel_ml,
                percent=share,
                score=lobe_score(share, infected > 0),
            )
        )
    scores = [lobe.score for lobe in found]
    return found, None if None in scores else sum(score for score in scores if score is not None)
