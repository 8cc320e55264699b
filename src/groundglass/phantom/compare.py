"""How close a result comes to the truth of the phantom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Record
from groundglass.evaluation.metrics import dice
from groundglass.phantom.chest import Phantom
from groundglass.volume import LabelMap, require_same_grid


class Pair(Record):
    """A number as it is and as it was measured; None where it cannot be known."""

    truth: float | None
    result: float | None


class LesionResult(Record):
    """What became of one lesion.

    Attributes:
        name: the lesion's name.
        side: lung.
        zone: third of the lung.
        kind: what it consists of.
        ml: its true volume.
        recall: share of its voxels that the result calls infected, 0..1.
        found: at least a fifth of it was found.
    """

    name: str
    side: str
    zone: str
    kind: str
    ml: float
    recall: float
    found: bool


class TruthComparison(Record):
    """Truth beside result. Volumes in millilitres, involvement in percent, Dice 0..1 (both empty = 1).

    `ground_glass_ml` and `consolidation_ml` compare the two labels of the infection.
    """

    lung_ml: Pair
    right_lung_ml: Pair
    left_lung_ml: Pair
    infection_ml: Pair
    ground_glass_ml: Pair
    consolidation_ml: Pair
    involvement_percent: Pair
    right_involvement_percent: Pair
    left_involvement_percent: Pair
    lungs_dice: float
    right_lung_dice: float
    left_lung_dice: float
    infection_dice: float
    false_infection_ml: float
    lesions: tuple[LesionResult, ...]


FOUND_FROM = 0.2


def compare_with_truth(phantom: Phantom, lungs: LabelMap, infection: LabelMap) -> TruthComparison:
    """Compare a result with the truth.

    Args:
        phantom: the scan that was analyzed, with its truth.
        lungs: the lungs found (1 right, 2 left), on the phantom's grid in RAS+ order.
        infection: the infection found (1 ground-glass, 2 consolidation).

    Raises:
        GeometryMismatchError: the result lies on another grid.
    """
    for result in (lungs, infection):
        require_same_grid(phantom.volume, result)
    sides = [_involvement(phantom, lungs, infection, side) for side in (None, 1, 2)]
    truth, found = phantom.infection.labels > 0, infection.labels > 0
    voxel_ml = phantom.volume.geometry.voxel_ml
    return TruthComparison(
        lung_ml=_total(phantom.lungs, lungs, (1, 2)),
        right_lung_ml=_total(phantom.lungs, lungs, (1,)),
        left_lung_ml=_total(phantom.lungs, lungs, (2,)),
        infection_ml=_total(phantom.infection, infection, (1, 2)),
        ground_glass_ml=_total(phantom.infection, infection, (1,)),
        consolidation_ml=_total(phantom.infection, infection, (2,)),
        involvement_percent=sides[0],
        right_involvement_percent=sides[1],
        left_involvement_percent=sides[2],
        lungs_dice=dice(phantom.lungs.labels > 0, lungs.labels > 0),
        right_lung_dice=dice(phantom.lungs.labels == 1, lungs.labels == 1),
        left_lung_dice=dice(phantom.lungs.labels == 2, lungs.labels == 2),
        infection_dice=dice(truth, found),
        false_infection_ml=float(np.count_nonzero(found & ~truth) * voxel_ml),
        lesions=_lesions(phantom, found),
    )


def _total(truth: LabelMap, result: LabelMap, labels: tuple[int, ...]) -> Pair:
    return Pair(
        truth=sum(truth.volume_ml(label) for label in labels), result=sum(result.volume_ml(label) for label in labels)
    )


def _involvement(phantom: Phantom, lungs: LabelMap, infection: LabelMap, side: int | None) -> Pair:
    return Pair(truth=_share(phantom.lungs, phantom.infection, side), result=_share(lungs, infection, side))


def _share(lungs: LabelMap, infection: LabelMap, side: int | None) -> float | None:
    lung = lungs.labels > 0 if side is None else lungs.labels == side
    size = int(np.count_nonzero(lung))
    return None if size == 0 else float(100 * np.count_nonzero(lung & (infection.labels > 0)) / size)


def _lesions(phantom: Phantom, found: NDArray[np.bool_]) -> tuple[LesionResult, ...]:
    count = len(phantom.lesions) + 1
    sizes = np.bincount(phantom.lesion_index.reshape(-1), minlength=count)
    hits = np.bincount(phantom.lesion_index[found], minlength=count)
    results = []
    for number, lesion in enumerate(phantom.lesions, start=1):
        recall = float(hits[number] / max(int(sizes[number]), 1))
        results.append(
            LesionResult(
                name=lesion.name,
                side=lesion.side,
                zone=lesion.zone,
                kind=lesion.kind,
                ml=lesion.ml,
                recall=recall,
                found=recall >= FOUND_FROM,
            )
        )
    return tuple(results)
