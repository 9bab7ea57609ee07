"""Means and standard deviations over replicates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench import metrics

if TYPE_CHECKING:
    import pandas as pd


SUPPORTS = {"study": "the study mask", "common": "the voxels that all methods share"}
"""Supports of the scores, and what a reader is told about them."""


_ORDER = (
    *("coverage", "nrmse", "detrended_nrmse", "detrended_slope", "correlation", "xsim", "hfen"),
    *("dgm_slope", "dgm_intercept", "dgm_r2", "data_consistency"),
)


_DECIMALS = {"%": 1, "": 3, "ppm": 4, "s": 2, "MiB": 0, "1/s": 2}


_RUN = {"time": ("time", 0.0), "peak_memory": ("peak memory", 0.0)}


@dataclass(frozen=True)
class Column:
    """A column of the table: what is shown, in which unit, and the best value (NaN for none)."""

    metric: str
    label: str
    unit: str
    best: float
    higher_is_better: bool | None

    @property
    def arrow(self) -> str:
        """What is better, in a word or two: lower, higher, or near the best value."""
        if math.isnan(self.best):
            return ""
        if self.higher_is_better is None:
            return f"best {self.best:g}"
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return _DECIMALS.get(self.unit, 3)


@dataclass
class Cell:
    """Mean and standard deviation over `n` seeds; NaN with its reason where there is none."""

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    reason: str = ""
    decimals: int = 3
    best: bool = False

    @property
    def text(self) -> str:
        """The mean, in the digits of its column."""
        return number(self.mean, self.decimals)

    @property
    def spread(self) -> str:
        """The standard deviation, empty for a single seed."""
        return "" if math.isnan(self.sd) else number(self.sd, self.decimals)


def number(value: float, decimals: int) -> str:
    """A number for a table, with a real minus sign; a dash for NaN, an exponent where it is huge."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:.1e}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def in_reading_order(names: list[str]) -> list[str]:
    """The metrics in the order in which a reader wants them, unknown ones last."""
    return [*(m for m in _ORDER if m in names), *(m for m in names if m not in _ORDER)]


def column(metric: str, unit: str) -> Column:
    """How a metric is headed: by its declaration, or by its bare name where it is not installed."""
    if metric in _RUN:
        return Column(metric, _RUN[metric][0], unit, _RUN[metric][1], False)
    if metric not in metrics.names():
        return Column(metric, metric.replace("_", " "), unit, math.nan, None)
    m = metrics.find(metric)
    return Column(metric, m.label, unit, m.best, m.higher_is_better)


def _cells(chain: pd.DataFrame, artifact: str, columns: list[Column]) -> dict[str, dict[str, Cell]]:
    """The cells of a chain. What is scored once (coverage, time) stands on both supports."""
    cells: dict[str, dict[str, Cell]] = {s: {} for s in SUPPORTS}
    for c in columns:
        rows = chain[(chain["metric"] == c.metric) & (chain["region"] == "")]
        if c.metric not in _RUN:
            rows = rows[rows["artifact"] == artifact]
        for support in SUPPORTS:
            own = rows[rows["support"] == support]
            once = not rows["support"].isin(["common"]).any()
            cells[support][c.metric] = _cell(rows if once else own, c.decimals)
    return cells


def _cell(rows: pd.DataFrame, decimals: int) -> Cell:
    values = rows["value"].dropna()
    if values.empty:
        reason = "; ".join(dict.fromkeys(r for r in rows["reason"] if r)) or "not scored"
        return Cell(reason=reason, decimals=decimals)
    return Cell(float(values.mean()), float(values.std()), len(values), "", decimals)
