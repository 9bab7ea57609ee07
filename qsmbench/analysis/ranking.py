"""Ranking of chains by their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from qsmbench.analysis.columns import Column
from qsmbench.analysis.replicates import Cell
from qsmbench.data.score_table import CONTROLS, SUPPORTS, is_isolated


@dataclass
class Row:
    """A chain: its cells by support and metric, and the reasons for missing ones."""

    chain: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def control(self) -> bool:
        """Whether it is a control, which bounds the table."""
        return self.chain in CONTROLS

    @property
    def isolated(self) -> bool:
        """Whether its input is a true map instead of the result of a method."""
        return is_isolated(self.chain)


def ranked(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return the rows ranked by the first rating on the study mask, rows without a value last."""
    first = rating(columns)

    def key(row: Row) -> tuple[bool, float, str]:
        distance = abs(row.cells["study"][first.metric].mean - first.best) if first else math.nan
        unknown = math.isnan(distance)
        return unknown, 0.0 if unknown else distance, row.chain

    return sorted(rows, key=key)


def mark_best(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Mark, for each column and support, the rows whose mean is closest to the best value.

    Isolated chains are compared separately from the others.
    """
    for c, support, isolated in product(_judged(columns), SUPPORTS, (True, False)):
        cells = [r.cells[support][c.metric] for r in rows if r.isolated is isolated]
        distances = [abs(cell.mean - c.best) for cell in cells]
        finite = [d for d in distances if not math.isnan(d)]
        if len(finite) < 2 or max(finite) == min(finite):
            continue
        for cell, distance in zip(cells, distances, strict=True):
            cell.best = distance == min(finite)


def rating(columns: Sequence[Column]) -> Column | None:
    """Return the column that the chains are ranked by; None if there is none."""
    return next(iter(_judged(columns)), None)


def _judged(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that rate a chain; coverage does not, since it only qualifies the other scores."""
    return [c for c in columns if c.metric != "coverage"]
