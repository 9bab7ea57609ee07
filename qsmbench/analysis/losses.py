"""Losses: the values of a metric turned so that smaller is better, on the scale on which they are compared."""

from __future__ import annotations

import math

import numpy as np

from qsmbench.analysis.columns import Column
from qsmbench.errors import QsmbenchError


def can_be_ratio(column: Column) -> bool:
    """Whether values of a metric are compared as ratios: positive errors, whose best value is 0, time and memory."""
    return column.best == 0 and column.higher_is_better is False


def use_ratio(column: Column, *values: np.ndarray) -> bool:
    """Whether these values can be compared as ratios: the metric allows it, and all known values are positive."""
    return can_be_ratio(column) and all(bool((v[~np.isnan(v)] > 0).all()) for v in values)


def losses(values: np.ndarray, column: Column, *, ratio: bool) -> np.ndarray:
    """Return values as losses: their logarithm for ratios, otherwise the values, or their distance from the best value.

    Args:
        values: of the metric; NaN stays NaN.
        column: the metric.
        ratio: whether differences of losses are to be logarithms of ratios.

    Raises:
        QsmbenchError: the metric has no best value.
    """
    if math.isnan(column.best):
        raise QsmbenchError(f"metric {column.metric!r} has no best value; chains cannot be compared by it")
    if ratio:
        return np.log(values)
    if column.higher_is_better is None:
        return np.abs(values - column.best)
    return -values if column.higher_is_better else values.copy()
