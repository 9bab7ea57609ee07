"""The endpoints of scenarios as tables: a row per chain, a column per region and case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qsmbench import metrics
from qsmbench.analysis.endpoints import TRUTH, Value
from qsmbench.analysis.results import Study
from qsmbench.analysis.trials import Answer, answers
from qsmbench.data.endpoints import OF_A_SCAN, OVER_SCANS
from qsmbench.report._summary import number_text


@dataclass(frozen=True)
class EndpointTable:
    """An endpoint of a scenario, of one artifact.

    Attributes:
        name: of the endpoint.
        meaning: short description.
        artifact: the scored artifact.
        unit: of the values.
        columns: region and case of each.
        chains: rows, the truth first.
        cells: by chain and column.
        notes: about the values.
    """

    name: str
    meaning: str
    artifact: str
    unit: str
    columns: list[tuple[str, str]]
    chains: list[str]
    cells: dict[tuple[str, tuple[str, str]], Value]
    notes: list[str]

    @property
    def upright(self) -> bool:
        """Whether there are more columns than chains, so that the chains are shown as columns."""
        return len(self.columns) > len(self.chains)


def endpoints(study: Study) -> list[dict[str, Any]]:
    """Return the content of the section on endpoints: each scenario with its tables; empty without a scenario."""
    order = [TRUTH, *(c for c in study.chains if c != TRUTH)]
    return [{"answer": answer, "tables": _tables(answer, order)} for answer in answers(study)]


def _tables(answer: Answer, order: Sequence[str]) -> list[EndpointTable]:
    found = []
    for name, values in answer.values.items():
        for artifact in dict.fromkeys(v.artifact for v in values):
            mine = [v for v in values if v.artifact == artifact]
            made = {v.chain for v in mine if math.isfinite(v.value)}
            columns = list(dict.fromkeys((v.region, v.case) for v in mine))
            units = [v.unit for v in mine if v.unit]
            found.append(
                EndpointTable(
                    name=name,
                    meaning=_meaning(name),
                    artifact=artifact,
                    unit=units[0] if units else "",
                    columns=columns,
                    chains=[c for c in order if c in made] or [c for c in order if c in {v.chain for v in mine}][:1],
                    cells={(v.chain, (v.region, v.case)): v for v in mine},
                    notes=_notes(mine),
                )
            )
    return found


def _meaning(name: str) -> str:
    if name in OVER_SCANS:
        return OVER_SCANS[name].meaning
    text = metrics.find(name).definition.split("\n\n")[0] if name in OF_A_SCAN else name
    return " ".join(text.replace("`", "").split()).rstrip(".")


def _notes(values: Sequence[Value]) -> list[str]:
    """Return the notes once each; those that differ by column are followed by its name."""
    by_note: dict[str, list[str]] = {}
    for v in values:
        if v.note:
            where = ", ".join(t for t in (v.region, v.case) if t)
            by_note.setdefault(v.note, [])
            if where not in by_note[v.note]:
                by_note[v.note].append(where)
    columns = {", ".join(t for t in (v.region, v.case) if t) for v in values}
    return [note if set(where) == columns else f"{note} ({'; '.join(where)})" for note, where in by_note.items()]


def cell_text(value: Value | None) -> str:
    """Format a value."""
    return "–" if value is None else number_text(value.value, value.unit)


def interval_text(value: Value | None) -> str:
    """Format the interval of a value; empty if there is none."""
    if value is None or not (math.isfinite(value.low) and math.isfinite(value.high)):
        return ""
    return f"{number_text(value.low, value.unit)} … {number_text(value.high, value.unit)}"
