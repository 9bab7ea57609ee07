"""The first page of a large study: its groups, and the chains across them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsmbench.analysis.columns import Column
from qsmbench.analysis.ranking import Row, rating
from qsmbench.analysis.summary import Table


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


@dataclass(frozen=True)
class Across:
    """One metric of the chains, group by group.

    Attributes:
        artifact: the scored artifact.
        column: the metric that ranks the chains in each group.
        entries: the tables of the groups.
        methods: for each chain, its row in each table; None if it has no score.
        controls: the same for the controls.
    """

    artifact: str
    column: Column
    entries: list[Entry]
    methods: dict[str, list[Row | None]]
    controls: dict[str, list[Row | None]]


def entries(tables: Sequence[Table], pages: Mapping[str, str]) -> list[Entry]:
    """Return the tables of each group with its page; `pages` maps groups to pages."""
    return [e for group, page in pages.items() for e in _entries(group, page, [t for t in tables if t.group == group])]


def _entries(group: str, page: str, tables: Sequence[Table]) -> list[Entry]:
    if not tables:
        return [Entry(group, page, None, None, (None, None))]
    return [Entry(group, page, t, rating(t.columns), (_first(t, True), _first(t, False))) for t in tables]


def across(found: Sequence[Entry]) -> list[Across]:
    """Return the chains across the groups, for each artifact and its ranking metric."""
    alike: dict[tuple[str, str], list[Entry]] = {}
    for e in found:
        if e.table is not None and e.column is not None:
            alike.setdefault((e.table.artifact, e.column.metric), []).append(e)
    return [_across(artifact, its) for (artifact, _), its in alike.items()]


def _across(artifact: str, found: list[Entry]) -> Across:
    column = next(e.column for e in found if e.column is not None)
    tables = [e.table for e in found if e.table is not None]
    return Across(artifact, column, found, _rows([t.methods for t in tables]), _rows([t.controls for t in tables]))


def _rows(tables: Sequence[Sequence[Row]]) -> dict[str, list[Row | None]]:
    """Return the rows of each chain, in the order of the first table that has it."""
    by_chain = [{r.chain: r for r in rows} for rows in tables]
    chains = dict.fromkeys(chain for rows in by_chain for chain in rows)
    return {chain: [rows.get(chain) for rows in by_chain] for chain in chains}


def _first(table: Table, isolated: bool) -> Row | None:
    return next((r for r in table.methods if r.isolated is isolated), None)
