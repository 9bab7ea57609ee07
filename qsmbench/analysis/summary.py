"""The summary of a study: chain × metric for each group of replicates and artifact, on both supports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from qsmbench.analysis.columns import Column, column, family_of, in_reading_order
from qsmbench.analysis.ranking import Row, mark_best, ranked
from qsmbench.analysis.results import Study
from qsmbench.data.score_table import COSTS, NOT_SCORED, RUN_ROWS, STATUS

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Table:
    """The scores of one artifact of one group of replicates.

    Attributes:
        group: of replicates.
        artifact: the scored artifact.
        seeds: number of replicates.
        columns: metrics with any value, in order of importance.
        methods: chains with a score, in order of rank.
        controls: the controls.
        failed: chains without a score.
        undefined: labels of the metrics without any value, by the reason.
    """

    group: str
    artifact: str
    seeds: int
    columns: list[Column]
    methods: list[Row]
    controls: list[Row]
    failed: list[Row]
    undefined: dict[str, list[str]]

    @property
    def families(self) -> list[tuple[str, int]]:
        """Families of neighbouring columns, each with their number."""
        return [(name, len(list(its))) for name, its in groupby(self.columns, lambda c: family_of(c.metric))]

    @property
    def measured(self) -> list[Column]:
        """Columns that rate the result."""
        return [c for c in self.columns if not c.is_cost]

    @property
    def costs(self) -> list[Column]:
        """Columns of time and memory."""
        return [c for c in self.columns if c.is_cost]


def tables(study: Study) -> list[Table]:
    """Return a table for each group of replicates and scored artifact, χ first."""
    result = []
    for group in study.groups:
        artifacts = _rated(study.of(group))["artifact"].unique()
        result += [_table(study, group, artifact) for artifact in sorted(artifacts, key=lambda a: a != "chi")]
    return result


def _table(study: Study, group: str, artifact: str) -> Table:
    mine, seeds = study.of(group), len(study.datasets(group))
    rated = _rated(mine)
    whole = rated[(rated["artifact"] == artifact) & (rated["region"] == "")]
    scored = set(whole.loc[whole["value"].notna(), "chain"])
    columns, undefined = _columns(whole, mine)
    reasons = _reasons(mine, seeds)
    cells = study.replicates.cells
    rows = [Row(c, cells(group, artifact, c, columns), reasons.get(c, [])) for c in _chains(mine, artifact)]
    methods = ranked([r for r in rows if r.chain in scored and not r.control], columns)
    mark_best(methods, columns)
    controls = [r for r in rows if r.chain in scored and r.control]
    failed = [Row(r.chain, r.cells, r.reasons or ["no score"]) for r in rows if r.chain not in scored]
    return Table(group, artifact, seeds, columns, methods, controls, failed, undefined)


def _rated(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that rate a result."""
    return scores[~scores["metric"].isin(RUN_ROWS)]


def _chains(mine: pd.DataFrame, artifact: str) -> list[str]:
    """Return the chains that produced the artifact, and failed ones, which may not state their artifact."""
    here = set(mine.loc[mine["artifact"].isin([artifact, ""]), "chain"])
    rated = _rated(mine)
    elsewhere = set(rated["chain"]) | set(mine.loc[mine["metric"] == NOT_SCORED, "chain"])
    elsewhere -= set(rated.loc[rated["artifact"] == artifact, "chain"])
    return [c for c in mine["chain"].unique() if c in here and c not in elsewhere]


def _reasons(mine: pd.DataFrame, seeds: int) -> dict[str, list[str]]:
    """Return the reasons of failure by chain, with the number of seeds if not all failed."""
    failures = mine.loc[(mine["metric"] == STATUS) & mine["value"].isna(), ["chain", "dataset", "reason"]]
    counts = Counter((chain, reason) for chain, _, reason in failures.drop_duplicates().itertuples(index=False))
    found: dict[str, list[str]] = {}
    for (chain, reason), n in counts.items():
        found.setdefault(chain, []).append(reason if n == seeds else f"{reason} (on {n} of {seeds} seeds)")
    return found


def _columns(whole: pd.DataFrame, mine: pd.DataFrame) -> tuple[list[Column], dict[str, list[str]]]:
    """Return the columns with any value, and the labels of the others by reason."""
    shown: list[Column] = []
    undefined: dict[str, list[str]] = {}
    for metric in in_reading_order(list(whole["metric"].unique())):
        rows = whole[whole["metric"] == metric]
        if rows["value"].notna().any():
            shown.append(column(metric, str(rows["unit"].iloc[0])))
        else:
            reason = "; ".join(dict.fromkeys(r for r in rows["reason"] if r)) or "no reason given"
            undefined.setdefault(reason, []).append(column(metric, "").label)
    for metric in COSTS:
        rows = mine[(mine["metric"] == metric) & mine["value"].notna()]
        if not rows.empty:
            shown.append(column(metric, str(rows["unit"].iloc[0])))
    return shown, undefined
