"""Every metric at every threshold, from the histograms of the volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.records import Curves, Histogram, Optimum
from groundglass.evaluation.score import LEVELS

THRESHOLDS = np.arange(1, LEVELS) / (LEVELS - 1)
"""Thresholds 1/255 to 1: a voxel counts from this probability."""
Numbers = NDArray[np.float64]


def counts_at_thresholds(histogram: Histogram) -> tuple[Numbers, Numbers, float]:
    """True positives and predicted voxels at every one of `THRESHOLDS`, and the voxels of the truth."""
    inside = np.asarray(histogram.inside, dtype=np.float64)
    every = inside + np.asarray(histogram.outside, dtype=np.float64)
    from_above = inside[::-1].cumsum()[::-1], every[::-1].cumsum()[::-1]
    return from_above[0][1:], from_above[1][1:], float(inside.sum())


def metrics_at_thresholds(histogram: Histogram) -> Numbers:
    """Dice, IoU, precision and recall of one volume, (4, thresholds); empty masks as in `metrics`."""
    both, predicted, truth = counts_at_thresholds(histogram)
    wholes = (predicted + truth, predicted + truth - both, predicted, np.full_like(both, truth))
    parts = (2 * both, both, both, both)
    ratios = np.stack([part / np.maximum(whole, 1.0) for part, whole in zip(parts, wholes, strict=True)])
    return np.where((predicted + truth) == 0, 1.0, ratios)


def curves(histograms: Sequence[Histogram]) -> Curves:
    """Means over volumes at every threshold, and the pooled precision-recall curve.

    Args:
        histograms: one per volume, at least one.
    """
    dice, iou, precision, recall = np.mean([metrics_at_thresholds(one) for one in histograms], axis=0)
    pooled = Histogram(
        inside=np.sum([one.inside for one in histograms], axis=0).tolist(),
        outside=np.sum([one.outside for one in histograms], axis=0).tolist(),
    )
    _, _, pooled_precision, pooled_recall = metrics_at_thresholds(pooled)
    return Curves(
        thresholds=_rounded(THRESHOLDS),
        dice=_rounded(dice),
        iou=_rounded(iou),
        precision=_rounded(precision),
        recall=_rounded(recall),
        pooled_precision=_rounded(pooled_precision),
        pooled_recall=_rounded(pooled_recall),
        average_precision=average_precision(pooled),
        best_dice=_best(dice),
        best_iou=_best(iou),
    )


def best_threshold(histograms: Sequence[Histogram]) -> Optimum:
    """The threshold with the best mean Dice over volumes: of validation data, never of the data that are reported.

    Among equals the middle one is taken.
    """
    return _best(np.mean([metrics_at_thresholds(one)[0] for one in histograms], axis=0))


def average_precision(histogram: Histogram) -> float:
    """Area under the precision-recall curve, as the sum of precision times the step in recall; 0 without truth."""
    both, predicted, truth = counts_at_thresholds(histogram)
    every = float(np.sum(histogram.inside) + np.sum(histogram.outside))
    if truth == 0:
        return 0.0
    hits, called = np.append(both[::-1], truth), np.append(predicted[::-1], every)
    steps = np.diff(hits / truth, prepend=0.0)
    return float(np.sum(steps * hits / np.maximum(called, 1.0)))


def _best(values: Numbers) -> Optimum:
    equal = np.flatnonzero(values >= values.max() - 1e-12)
    return Optimum(threshold=float(THRESHOLDS[equal[len(equal) // 2]]), value=float(values.max()))


def _rounded(values: Numbers) -> list[float]:
    return [round(float(value), 5) for value in values]
