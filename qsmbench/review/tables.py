"""The cells of a review's tables, from the measurements of the experiments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.analysis.intervals import t_interval
from qsmbench.review.claims import Review
from qsmbench.review.evaluate import quantity, ratio

if TYPE_CHECKING:
    import pandas as pd


RANGES = {"share": (0.0, 100.0), "sign_accuracy": (0.0, 100.0), "sign_auc": (0.0, 1.0), "linearity": (0.0, 1.0)}
"""Possible values of some statistics; intervals end there."""


ANY = -math.inf, math.inf


@dataclass(frozen=True)
class Cell:
    """A quantity of an image at a field strength.

    Attributes:
        table: title of the table.
        quantity: its label.
        image: name of the image.
        b0: field strength, as the list states it.
        value, low, high: mean over subjects and its 95 % interval; NaN if there is none.
        n: number of subjects.
    """

    table: str
    quantity: str
    image: str
    b0: str
    value: float
    low: float
    high: float
    n: int


def cells(review: Review, experiment: str, measurements: pd.DataFrame) -> Iterator[Cell]:
    """Yield the cells of all tables that an experiment gives.

    Args:
        review: the list.
        experiment: its name.
        measurements: of the experiment, with the columns `evaluate.COLUMNS`.
    """
    for table in review.tables:
        for row in (q for q in table.quantities if q.experiment == experiment):
            for image, b0, of, over in table.picks(row):
                values = quantity(measurements, of)
                least, most = RANGES.get(of.statistic, ANY)
                if over is not None:
                    values, least, most = ratio(values, quantity(measurements, over)), *ANY
                mean, low, high, n = _mean(np.array(list(values.values()), float))
                yield Cell(table.title, row.label, image, b0, mean, max(low, least), min(high, most), n)


def _mean(values: np.ndarray) -> tuple[float, float, float, int]:
    """Return the mean of those of `values` that are finite, its interval and their number."""
    known = values[np.isfinite(values)]
    if not known.size:
        return math.nan, math.nan, math.nan, 0
    low, high = t_interval(known) if known.size > 1 else (math.nan, math.nan)
    return float(known.mean()), low, high, known.size
