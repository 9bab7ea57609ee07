"""The provenance of a truth: the values that the properties of each region depend on, and their sources."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qsmbench.errors import QsmbenchError

PROVENANCE_FILE = "basis.tsv"
"""File in a truth folder: one row per `SourcedValue`."""

SCENARIO_FILE = "scenario.json"
"""File in a truth folder: scenario, case, question, endpoint, regions, source, `assumed`; empty without a scenario."""


@dataclass(frozen=True)
class SourcedValue:
    """A value that a property of a region depends on, and its source.

    Attributes:
        region: name; empty for the whole object, or a location without a named region.
        property: chi, pd, t1, r2, r2star, fat_fraction; or shape.
        name: of the value, such as `chi_para of putamen` or `haematocrit`.
        value: a number or a word.
        unit: of the number, if it has one.
        source: reference of the value.
        by: origin of the value: table, phantom, scenario, population or user.
        assumed: whether it is neither measured, nor published, nor set by the user.
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
    """Read a table written by `write_provenance`.

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
