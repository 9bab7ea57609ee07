"""The cells of a review's tables, from the measurements of the experiments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.analysis.intervals import t_interval
from qsmbench.review.claims import Review
from qsmbench.review.evaluate import paired, quantity

if TYPE_CHECKING:
    import pandas as pd


RANGES = {"share": (0.0, 100.0), "sign_accuracy": (0.0, 100.0), "sign_auc": (0.0, 1.0), "linearity": (0.0, 1.0)}
"""Possible values of some statistics; intervals end there."""


@dataclass(frozen=True)
class Cell:
    """A quantity of an image at a field strength.

    Attributes:
        table: title of the table.
        column: label of the column.
        image: name of the image.
        field: field strength, as the list states it.
        value, low, high: mean over subjects and its 95 % interval; NaN if there is none.
        n: number of subjects.
    """

    table: str
    column: str
    image: str
    field: str
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
        for column in table.columns:
            if column.experiment != experiment:
                continue
            for image, field, of, over in table.picks(column):
                values = quantity(measurements, of)
                if over is not None:
                    values = paired(values, quantity(measurements, over), lambda a, b: a / b if b else math.nan)
                least, most = RANGES.get(of.statistic, (-math.inf, math.inf)) if over is None else (-math.inf, math.inf)
                mean, low, high, n = _mean(np.array(list(values.values()), float))
                yield Cell(table.title, column.label, image, field, mean, max(low, least), min(high, most), n)


def _mean(values: np.ndarray) -> tuple[float, float, float, int]:
    """Return the mean of those of `values` that are finite, its interval and their number."""
    known = values[np.isfinite(values)]
    if not known.size:
        return math.nan, math.nan, math.nan, 0
    low, high = t_interval(known) if known.size > 1 else (math.nan, math.nan)
    return float(known.mean()), low, high, known.size
