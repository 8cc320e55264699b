"""Numbers about a cohort: spread of each quantity, and the cases that stand apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.batch.table import Row

FARTHEST = 3.5
"""Modified z-score from which a case stands apart (Iglewicz and Hoaglin 1993)."""
FEWEST = 10
"""Cases from which it makes sense to say so."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column of the table that the cohort report shows.

    Attributes:
        column: in `results.csv`.
        name: in words.
        unit: empty for a score.
        digits: behind the point.
    """

    column: str
    name: str
    unit: str
    digits: int

    def shown(self, value: float) -> str:
        """A value with its unit."""
        text = f"{value:,.{self.digits}f}".replace("-", "−")
        return f"{text} {self.unit}".strip()


QUANTITIES = (
    Quantity("involvement_percent_total", "Involvement", "%", 1),
    Quantity("infection_volume_ml_total", "Infection volume", "ml", 0),
    Quantity("lung_volume_ml_total", "Lung volume", "ml", 0),
    Quantity("consolidation_share_percent", "Consolidation, share of the infection", "%", 1),
    Quantity("zonal_severity_score", "Severity score (0 to 24)", "", 0),
    Quantity("mean_lung_hu", "Mean lung density", "HU", 0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How a quantity is spread over the cases where it is known.

    Attributes:
        quantity: which.
        values: sorted.
        quartiles: 25, 50 and 75 %.
    """

    quantity: Quantity
    values: NDArray[np.float64]
    quartiles: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Outlier:
    """A case that stands apart.

    Attributes:
        case: name.
        quantity: in which it does.
        value: of the case.
        median: of the cohort.
        score: modified z-score: .6745 (value - median) / median absolute deviation.
    """

    case: str
    quantity: Quantity
    value: float
    median: float
    score: float


def spreads(rows: Sequence[Row]) -> list[Spread]:
    """The spread of every quantity that is known for some case."""
    found = []
    for quantity in QUANTITIES:
        values = np.sort([value for row in rows if (value := number_of(row, quantity)) is not None])
        if values.size:
            low, middle, high = (float(part) for part in np.percentile(values, (25, 50, 75)))
            found.append(Spread(quantity, values, (low, middle, high)))
    return found


def outliers(rows: Sequence[Row]) -> list[Outlier]:
    """Cases that stand apart in some quantity, the farthest first."""
    found = []
    for spread in spreads(rows):
        deviation = float(np.median(np.abs(spread.values - spread.quartiles[1])))
        if spread.values.size < FEWEST or deviation == 0.0:
            continue
        for row in rows:
            value = number_of(row, spread.quantity)
            if value is None:
                continue
            score = 0.6745 * (value - spread.quartiles[1]) / deviation
            if abs(score) > FARTHEST:
                found.append(Outlier(str(row["case"]), spread.quantity, value, spread.quartiles[1], score))
    return sorted(found, key=lambda one: (-abs(one.score), one.case, one.quantity.column))


def bins(values: NDArray[np.float64], most: int = 24) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts and round edges of a histogram (rule of Freedman and Diaconis, at most `most` bins)."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([values.size]), np.array([low - 0.5, high + 0.5])
    wanted = np.histogram_bin_edges(values, "fd").size - 1
    rough = (high - low) / min(max(wanted, 6), most)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    if np.array_equal(values, np.rint(values)):
        step = max(1.0, np.ceil(step))
    first, last = np.floor(low / step), np.floor(high / step) + 1
    counts, edges = np.histogram(values, np.arange(first, last + 1) * step)
    return np.asarray(counts, dtype=np.int64), np.asarray(edges)


def number_of(row: Row, quantity: Quantity) -> float | None:
    """A quantity of a case; None where it is not known."""
    value = row.get(quantity.column)
    return float(value) if isinstance(value, int | float) else None
