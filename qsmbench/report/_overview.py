"""The first page: every chain in every condition, and the groups of a large study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from qsmbench.analysis.attribution import ATTRIBUTION, CONE
from qsmbench.analysis.columns import Column
from qsmbench.analysis.families import FamilyRanks, family_ranks
from qsmbench.analysis.intervals import SUBJECTS
from qsmbench.analysis.losses import can_be_ratio
from qsmbench.analysis.overview import Overview, overview
from qsmbench.analysis.ranking import Row, rating
from qsmbench.analysis.results import Study
from qsmbench.analysis.robustness import crossed_factors, curves
from qsmbench.analysis.shares import PLACES, oracles, shares
from qsmbench.analysis.summary import Table
from qsmbench.data.score_table import CONTROLS, SUPPORTS, is_fed
from qsmbench.report._charts import robustness_chart


@dataclass(frozen=True)
class Entry:
    """A table on the page of its group, or a group without a table.

    Attributes:
        group: of replicates.
        page: of the group.
        table: the table; None if the group has no score.
        column: metric that ranks its chains; None if there is none.
        leaders: the best isolated chain, and the best of the others; None if there is none.
    """

    group: str
    page: str
    table: Table | None
    column: Column | None
    leaders: tuple[Row | None, Row | None]


def attributed(study: Study) -> dict[str, Any]:
    """Return the content of the section on where errors come from; empty if no error was divided."""
    stages = {s: shares(study, ATTRIBUTION, s) for s in SUPPORTS}
    if not any(a.chains for a in stages.values()):
        return {}
    covered = [i.covers for a in stages.values() for row in a.chains.values() for i in row if i is not None]
    return {
        "stages": stages,
        "oracles": {s: {c: oracles(study, c, s) for c in a.chains} for s, a in stages.items()},
        "places": [found for metric in PLACES if (found := shares(study, metric, "common")).chains],
        "headings": PLACES,
        "several": SUBJECTS in covered,
        "cone": CONE,
    }


TOLERANCE = 0.1
"""Largest increase of an error over the best level of a factor that counts as robust."""


def robustness(study: Study, tables: Sequence[Table]) -> dict[str, Any]:
    """Return the content of the section on robustness: the curves of χ over each crossed key; empty without any."""
    column = next((c for t in tables if t.artifact == "chi" and (c := rating(t.columns))), None)
    if column is None or not can_be_ratio(column):
        return {}
    sample = study.sample(column)
    sample = sample.of([c for c in sample.values.columns if c not in CONTROLS and not is_fed(c)])
    found = {}
    for factor in crossed_factors(study.factors):
        its = curves(sample, study.factors, factor, tolerance=TOLERANCE)
        its.sort(key=lambda c: min(p.value.estimate for p in c.points))
        if its:
            found[factor] = (its, Markup(robustness_chart(factor, its, column)))
    return {"column": column, "factors": found, "tolerance": f"{TOLERANCE:.0%}".replace("%", " %")} if found else {}


def ranked_families(study: Study, tables: Sequence[Table]) -> dict[str, list[FamilyRanks]]:
    """Return the ranks by family of metrics, by artifact."""
    columns: dict[str, dict[str, Column]] = {}
    for t in tables:
        columns.setdefault(t.artifact, {}).update({c.metric: c for c in t.columns})
    found = {a: family_ranks(study, a, list(its.values()), study.weights) for a, its in columns.items()}
    return {artifact: ranks for artifact, ranks in found.items() if ranks}


def entries(tables: Sequence[Table], pages: Mapping[str, str]) -> list[Entry]:
    """Return the tables of each group with its page; `pages` maps groups to pages."""
    return [e for group, page in pages.items() for e in _entries(group, page, [t for t in tables if t.group == group])]


def _entries(group: str, page: str, tables: Sequence[Table]) -> list[Entry]:
    if not tables:
        return [Entry(group, page, None, None, (None, None))]
    return [Entry(group, page, t, rating(t.columns), (_first(t, True), _first(t, False))) for t in tables]


def overviews(study: Study, tables: Sequence[Table]) -> list[dict[str, Overview]]:
    """Return the overview of each artifact by the metric that ranks its chains, by support."""
    ratings: dict[tuple[str, str], Column] = {}
    for t in tables:
        if column := rating(t.columns):
            ratings.setdefault((t.artifact, column.metric), column)
    return [{s: overview(study, artifact, c, s) for s in SUPPORTS} for (artifact, _), c in ratings.items()]


def _first(table: Table, isolated: bool) -> Row | None:
    return next((r for r in table.methods if r.isolated is isolated), None)
