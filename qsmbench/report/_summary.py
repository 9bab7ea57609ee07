"""The summary table: chain × metric, mean ± standard deviation over the seeds, on both supports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from qsmbench import metrics
from qsmbench.report._study import CONTROLS, RUN_ROWS, Study

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


@dataclass
class Row:
    """A chain: its cells by support and metric, or the reasons why it has none."""

    chain: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def control(self) -> bool:
        """Whether it is no method but bounds the table."""
        return self.chain in CONTROLS

    @property
    def isolated(self) -> bool:
        """Whether it was fed a true artifact in place of the result of a method."""
        return not self.control and self.chain.startswith("truth.")


@dataclass
class Table:
    """The scores of one artifact of one group of replicates."""

    group: str
    artifact: str
    seeds: int
    columns: list[Column]
    methods: list[Row]
    controls: list[Row]
    failed: list[Row]
    undefined: dict[str, list[str]]

    @property
    def measured(self) -> list[Column]:
        """The columns that score the result, without those of the run."""
        return [c for c in self.columns if c.metric not in _RUN]

    @property
    def costs(self) -> list[Column]:
        """The columns of the run: time and memory."""
        return [c for c in self.columns if c.metric in _RUN]


def number(value: float, decimals: int) -> str:
    """A number for a table, with a real minus sign; a dash for NaN, an exponent where it is huge."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:.1e}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def tables(study: Study) -> list[Table]:
    """The summary tables of a study: one for each group of replicates and artifact."""
    result = []
    for group in study.groups:
        mine = study.scores[study.scores["group"] == group]
        scored = mine[~mine["metric"].isin(RUN_ROWS)]
        artifacts = sorted(dict.fromkeys(scored["artifact"]), key=lambda a: a != "chi")  # χ first
        for artifact in artifacts or [""]:
            result.append(_table(mine, group, artifact, len(study.datasets(group))))
    return result


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


def _table(mine: pd.DataFrame, group: str, artifact: str, seeds: int) -> Table:
    run = mine[mine["metric"].isin(RUN_ROWS)]
    whole = mine[(mine["artifact"] == artifact) & (mine["region"] == "") & ~mine["metric"].isin(RUN_ROWS)]
    chains = _chains(mine, artifact)
    reasons = {c: _reasons(run[run["chain"] == c], seeds) for c in chains}
    scored = [c for c in chains if (whole.loc[whole["chain"] == c, "value"].notna()).any()]
    shown, undefined = _columns(whole, run)
    rows = [Row(c, _cells(mine[mine["chain"] == c], artifact, shown), reasons[c]) for c in chains]
    methods = [r for r in rows if r.chain in scored and not r.control]
    _mark_best(methods, shown)
    first = next((c.metric for c in shown if c.metric != "coverage"), "")
    methods.sort(key=lambda r: _rank(r, first))
    failed = [r for r in rows if r.chain not in scored]
    for row in failed:
        row.reasons = row.reasons or ["no score"]
    return Table(
        group, artifact, seeds, shown, methods, [r for r in rows if r.control and r.chain in scored], failed, undefined
    )


def _chains(mine: pd.DataFrame, artifact: str) -> list[str]:
    """Chains that produced the artifact or failed to; a failed one may not say which it was to produce."""
    here = set(mine.loc[mine["artifact"].isin([artifact, ""] if artifact else mine["artifact"]), "chain"])
    scored = mine[~mine["metric"].isin(RUN_ROWS)]
    elsewhere = set(scored["chain"]) - set(scored.loc[scored["artifact"] == artifact, "chain"])
    return [c for c in dict.fromkeys(mine["chain"]) if c in here and c not in elsewhere]


def _reasons(run: pd.DataFrame, seeds: int) -> list[str]:
    """Why the chain failed, and on how many seeds where not on all."""
    failures = run[(run["metric"] == "status") & run["value"].isna()]
    counted = failures["reason"].value_counts(sort=False)
    return [
        r if n == seeds else f"{r} (on {n} of {seeds} seeds)"
        for r, n in zip(map(str, counted.index), counted, strict=True)
    ]


def _columns(whole: pd.DataFrame, run: pd.DataFrame) -> tuple[list[Column], dict[str, list[str]]]:
    """The metrics that have a value anywhere, in reading order; and those that have none, by the reason."""
    shown: list[Column] = []
    undefined: dict[str, list[str]] = {}
    for metric in in_reading_order(list(whole["metric"].unique())):
        rows = whole[whole["metric"] == metric]
        if rows["value"].notna().any():
            shown.append(column(metric, rows["unit"].iloc[0]))
        else:
            reason = "; ".join(dict.fromkeys(r for r in rows["reason"] if r)) or "no reason given"
            undefined.setdefault(reason, []).append(column(metric, "").label)
    for metric in _RUN:
        rows = run[(run["metric"] == metric) & run["value"].notna()]
        if not rows.empty:
            shown.append(column(metric, rows["unit"].iloc[0]))
    return shown, undefined


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


def _mark_best(methods: list[Row], columns: list[Column]) -> None:
    """Mark, for each column and support, the methods whose mean is closest to the best value.

    Chains that were fed the truth, and those that were not, compete among themselves.
    """
    judged = [c for c in columns if c.metric != "coverage"]  # the condition under which others are read, not a merit
    for c, support, isolated in product(judged, SUPPORTS, (True, False)):
        cells = [r.cells[support][c.metric] for r in methods if r.isolated is isolated]
        away = [abs(cell.mean - c.best) for cell in cells]
        finite = [a for a in away if not math.isnan(a)]
        if len(finite) < 2 or max(finite) == min(finite):
            continue
        for cell, a in zip(cells, away, strict=True):
            cell.best = a == min(finite)


def _rank(row: Row, metric: str) -> tuple[bool, float, str]:
    """Order of the rows before a reader sorts them: by the first metric on the study mask."""
    cell = row.cells["study"].get(metric, Cell())
    known = metric and not math.isnan(cell.mean)
    away = abs(cell.mean - column(metric, "").best) if known else math.nan
    return (math.isnan(away), 0.0 if math.isnan(away) else away, row.chain)
