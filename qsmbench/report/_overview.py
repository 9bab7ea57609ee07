"""What the first page of a large study shows: its groups, and the chains across them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsmbench.analysis.columns import Column
from qsmbench.analysis.ranking import Row, rating
from qsmbench.analysis.summary import Table


@dataclass(frozen=True)
class Entry:
    """A table on a page of its own.

    Attributes:
        table: the table.
        page: its page.
        column: what its chains are ranked by; None if nothing rates them.
        leaders: the first isolated chain, and the first of the others; None where there is none.
    """

    table: Table
    page: str
    column: Column | None
    leaders: tuple[Row | None, Row | None]


@dataclass(frozen=True)
class Across:
    """One metric of the chains, group by group.

    Attributes:
        artifact: what was scored.
        column: the metric that ranks the chains in each of the groups.
        entries: the tables of the groups.
        methods: of each chain, its row in each of them; None where it has no score.
        controls: likewise.
    """

    artifact: str
    column: Column
    entries: list[Entry]
    methods: dict[str, list[Row | None]]
    controls: dict[str, list[Row | None]]


def entries(tables: Sequence[Table], pages: Mapping[str, str]) -> list[Entry]:
    """Return the tables with their pages, given by group."""
    return [Entry(t, pages[t.group], rating(t.columns), (_first(t, True), _first(t, False))) for t in tables]


def across(found: Sequence[Entry]) -> list[Across]:
    """Return the chains across the groups, for each artifact and the metric that ranks its chains."""
    alike: dict[tuple[str, str], list[Entry]] = {}
    for e in found:
        if e.column is not None:
            alike.setdefault((e.table.artifact, e.column.metric), []).append(e)
    return [_across(artifact, its) for (artifact, _), its in alike.items()]


def _across(artifact: str, found: list[Entry]) -> Across:
    column = found[0].column
    assert column is not None
    methods = _rows([e.table.methods for e in found])
    controls = _rows([e.table.controls for e in found])
    return Across(artifact, column, found, methods, controls)


def _rows(tables: Sequence[Sequence[Row]]) -> dict[str, list[Row | None]]:
    """Return the rows of each chain, in the order of the first table that has it."""
    by_chain = [{r.chain: r for r in rows} for rows in tables]
    chains = dict.fromkeys(chain for rows in by_chain for chain in rows)
    return {chain: [rows.get(chain) for rows in by_chain] for chain in chains}


def _first(table: Table, isolated: bool) -> Row | None:
    return next((r for r in table.methods if r.isolated is isolated), None)
