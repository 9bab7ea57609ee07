"""The summary table: chain × metric, mean ± standard deviation over the seeds, on both supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsmbench.analysis.ranking import Row, _mark_best, _rank
from qsmbench.analysis.replicates import _RUN, Column, _cells, column, in_reading_order
from qsmbench.analysis.results import RUN_ROWS, Study

if TYPE_CHECKING:
    import pandas as pd


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
