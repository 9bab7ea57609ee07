"""Formatting of scores: the direction of a column, and the digits of its values."""

from __future__ import annotations

import math

from qsmbench.analysis.columns import Column
from qsmbench.analysis.replicates import Cell

_DECIMALS = {"%": 1, "": 3, "ppm": 4, "s": 2, "MiB": 0, "1/s": 2}


def direction(column: Column) -> str:
    """Return the direction of a column as text: lower or higher is better, or the best value."""
    if math.isnan(column.best):
        return ""
    if column.higher_is_better is None:
        return f"best {column.best:g}"
    return "higher is better" if column.higher_is_better else "lower is better"


def number_text(value: float, unit: str) -> str:
    """Format a value of a metric."""
    return number(value, _DECIMALS.get(unit, 3))


def mean_text(cell: Cell, unit: str) -> str:
    """Format the mean of a cell."""
    return number_text(cell.mean, unit)


def spread_text(cell: Cell, unit: str) -> str:
    """Format the standard deviation of a cell; empty for a single replicate, or if it is too small to be shown."""
    text = "" if math.isnan(cell.sd) else number_text(cell.sd, unit)
    return text if text.strip("0.") else ""


def rank_text(rank: float) -> str:
    """Format a rank, or an end of its interval: with a decimal unless it is a whole number."""
    return f"{rank:.1f}".removesuffix(".0")


def number(value: float, decimals: int) -> str:
    """Format a number with a minus sign (−); NaN as a dash, large numbers with an exponent."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:.1e}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")
