"""Temperature, offset and abstention, fitted on validation slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from groundglass.inference.classify import calibrated

Floats = NDArray[np.floating[Any]]
WANTED_ACCURACY = 0.80
"""Accuracy that the answers given are to have on the validation slices."""
LEAST_COVERAGE = 0.5
"""Share of the validation slices that must still be answered."""


def open_likelihood(probabilities: Floats, allowed: NDArray[np.integer[Any]]) -> float:
    """Mean -log of the probability that the labels leave open.

    Args:
        probabilities: (slice, class).
        allowed: (slice, class), 1 where the label leaves a class open.
    """
    return float(-np.log(np.clip((probabilities * allowed).sum(axis=1), 1e-9, 1.0)).mean())


def fit_calibration(logits: Floats, allowed: NDArray[np.integer[Any]], *, index: int = 0) -> tuple[float, float]:
    """The temperature (Guo et al. 2017) and the offset of one class's logit under which the labels are likeliest.

    The offset undoes that training draws the classes as often as it likes, not as often as they come.

    Args:
        logits: (slice, class) of validation slices.
        allowed: (slice, class), 1 where the label leaves a class open.
        index: number of the class with the offset.

    Returns:
        Temperature, 0.25 to 8, and what is added to the class's logit before the division by it.
    """

    def loss(parameters: NDArray[np.float64]) -> float:
        return open_likelihood(calibrated(with_offset(logits, parameters[1], index), np.exp(parameters[0])), allowed)

    bounds = [(float(np.log(0.25)), float(np.log(8.0))), (-8.0, 8.0)]
    found = minimize(loss, np.array([0.5, 0.0]), method="Nelder-Mead", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])


def with_offset(logits: Floats, offset: float, index: int = 0) -> Floats:
    """Logits (slice, class) with `offset` added to one class."""
    moved = np.array(logits, dtype=np.float64)
    moved[:, index] += offset
    return moved


def fit_least_probability(probabilities: Floats, allowed: NDArray[np.integer[Any]]) -> float:
    """The lowest limit of the likeliest class's probability at which the answers given reach `WANTED_ACCURACY`.

    At least `LEAST_COVERAGE` of the slices are answered, whatever the accuracy.

    Args:
        probabilities: (slice, class), calibrated.
        allowed: (slice, class), 1 where the label leaves a class open.
    """
    top, right = probabilities.max(axis=1), allowed[np.arange(len(allowed)), probabilities.argmax(axis=1)] == 1
    highest = float(np.quantile(top, 1.0 - LEAST_COVERAGE))
    for limit in np.arange(0.40, highest, 0.01):
        if right[top >= limit].mean() >= WANTED_ACCURACY:
            return round(float(limit), 2)
    return round(highest, 2)
