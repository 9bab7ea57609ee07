"""Means and standard deviations over replicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench.analysis.columns import Column
from qsmbench.data.score_table import SUPPORTS

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Cell:
    """Mean and standard deviation over `n` replicates; NaN with its reason where there is none.

    Attributes:
        mean: over the replicates that have a value.
        sd: standard deviation with n − 1; NaN for a single replicate.
        n: number of values.
        reason: why there is none.
        best: whether the mean is the best of its column.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    reason: str = ""
    best: bool = False


def over_replicates(values: pd.Series, reason: str) -> Cell:
    """Return the mean and standard deviation of the values that are not NaN, or `reason` where all are."""
    values = values.dropna()
    if values.empty:
        return Cell(reason=reason)
    return Cell(float(values.mean()), float(values.std()), len(values))


def whole_mask(scores: pd.DataFrame, artifact: str, column: Column, support: str) -> pd.DataFrame:
    """Return the rows of a metric over the whole of a support.

    What is computed once, such as coverage and time, counts for every support.
    """
    rows = scores[(scores["metric"] == column.metric) & (scores["region"] == "")]
    if column.is_cost:  # of a chain, however many artifacts it makes
        return rows.drop_duplicates(["dataset", "chain"])
    rows = rows[rows["artifact"] == artifact]
    return rows[rows["support"] == support] if (rows["support"] == "common").any() else rows


def cells(chain: pd.DataFrame, artifact: str, columns: Sequence[Column]) -> dict[str, dict[str, Cell]]:
    """Return the cells of a chain, from its scores, by support and metric."""
    return {s: {c.metric: _cell(whole_mask(chain, artifact, c, s)) for c in columns} for s in SUPPORTS}


def _cell(rows: pd.DataFrame) -> Cell:
    return over_replicates(rows["value"], "; ".join(dict.fromkeys(r for r in rows["reason"] if r)) or "not scored")
