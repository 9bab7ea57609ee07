"""The provenance of a truth: the values that the properties of each region follow from, and their sources."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qsmbench.errors import QsmbenchError

PROVENANCE_FILE = "basis.tsv"
"""Beside a truth: one row for each `SourcedValue`."""

SCENARIO_FILE = "scenario.json"
"""Beside a truth: its scenario, case, question, endpoint, regions, source and `assumed`; empty if it has none."""


@dataclass(frozen=True)
class SourcedValue:
    """A value that a property of a region follows from, and where it comes from.

    Attributes:
        region: its name; empty for what concerns the whole object, or a place that no region is named after.
        property: chi, pd, t1, r2, r2star, fat_fraction; or shape.
        name: of the value, such as `chi_para of putamen` or `haematocrit`.
        value: a number or a word.
        unit: of the number, if it has one.
        source: where the value comes from.
        by: who states it: table, phantom, scenario, population or user.
        assumed: whether it is ours, neither measured nor published, nor stated by the user.
    """

    region: str
    property: str
    name: str
    value: str
    unit: str
    source: str
    by: str
    assumed: bool


COLUMNS = tuple(f.name for f in fields(SourcedValue))


def write_provenance(path: Path, rows: Iterable[SourcedValue]) -> None:
    """Write a tab-separated table with a column for each attribute of `SourcedValue`; `assumed` is yes or no."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, "excel-tab", lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([*(getattr(row, c) for c in COLUMNS[:-1]), "yes" if row.assumed else "no"] for row in rows)


def read_provenance(path: Path) -> list[SourcedValue]:
    """Read what `write_provenance` wrote.

    Raises:
        QsmbenchError: no such file, or it has other columns.
    """
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file, dialect="excel-tab")
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise QsmbenchError(f"{path}: columns are {table.fieldnames}; choose from {', '.join(COLUMNS)}")
        rows: list[dict[str, Any]] = [{**row, "assumed": row["assumed"] == "yes"} for row in table]
    return [SourcedValue(**row) for row in rows]
