"""Chains in order of their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from qsmbench.analysis.replicates import SUPPORTS, Cell, Column, column
from qsmbench.analysis.results import CONTROLS

if TYPE_CHECKING:
    pass


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
