"""Temperature and abstention, fitted on validation slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from groundglass.inference.classify import calibrated

Floats = NDArray[np.floating[Any]]
WANTED_ACCURACY = 0.85
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


def fit_temperature(logits: Floats, allowed: NDArray[np.integer[Any]]) -> float:
    """The temperature, 0.25 to 8, under which the labels are likeliest (Guo et al. 2017).

    Args:
        logits: (slice, class) of validation slices.
        allowed: (slice, class), 1 where the label leaves a class open.
    """
    found = minimize_scalar(
        lambda log_t: open_likelihood(calibrated(logits, float(np.exp(log_t))), allowed),
        bounds=(np.log(0.25), np.log(8.0)),
        method="bounded",
    )
    return float(np.exp(found.x))


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
