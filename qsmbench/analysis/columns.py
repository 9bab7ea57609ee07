"""The columns of a summary: its metrics, with unit, order and best value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qsmbench import metrics
from qsmbench.data.score_table import COSTS

FAMILIES = {
    "mask": ("coverage", "dice"),
    "error": ("nrmse", "detrended_nrmse", "detrended_slope", "hfen"),
    "parts of the mask": ("own_nrmse", "rim_nrmse", "deep_nrmse"),
    "structure": ("correlation", "xsim"),
    "deep grey matter": ("dgm_slope", "dgm_intercept", "dgm_r2"),
    "field": ("data_consistency",),
    "cost": COSTS,
}
"""Metrics that answer the same question, in order of importance; a chain has a rank in each family."""

OTHERS = "other"
"""Family of the metrics that are in none."""


@dataclass(frozen=True)
class Column:
    """A metric as a column of a summary.

    Attributes:
        metric: its name.
        label: its heading.
        unit: of its values.
        best: value of a perfect reconstruction; NaN if there is none.
        higher_is_better: None if a value may err on either side of `best`.
    """

    metric: str
    label: str
    unit: str
    best: float
    higher_is_better: bool | None

    @property
    def is_cost(self) -> bool:
        """Whether it measures the cost of a chain, not the quality of its result."""
        return self.metric in COSTS


def column(metric: str, unit: str) -> Column:
    """Return the column of a metric: from its declaration, or only its name if it is not installed."""
    label = metric.replace("_", " ")
    if metric in COSTS:
        return Column(metric, label, unit, 0.0, False)
    if metric not in metrics.names():
        return Column(metric, label, unit, math.nan, None)
    m = metrics.find(metric)
    return Column(metric, m.label, unit, m.best, m.higher_is_better)


def family_of(metric: str) -> str:
    """Return the family of a metric."""
    return next((name for name, its in FAMILIES.items() if metric in its), OTHERS)


def in_reading_order(names: list[str]) -> list[str]:
    """Sort metrics by family and importance, unknown ones last."""
    known = [m for its in FAMILIES.values() for m in its]
    return [*(m for m in known if m in names), *(m for m in names if m not in known)]
