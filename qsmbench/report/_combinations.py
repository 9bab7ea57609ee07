"""Background removal × inversion: the scores of composed chains as a table with shades."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qsmbench.analysis.columns import Column
from qsmbench.analysis.overview import Overview
from qsmbench.analysis.results import Study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.run.specs import RUN_FILE, Record, prefixes, read_record

STRONGEST = 50
"""Share of the accent colour in the shade of the best combination [%]; text stays readable on it."""


@dataclass(frozen=True)
class Combination:
    """A pair of methods: the mean score of its chain, its shade from 0 to `STRONGEST`, and whether it is the best."""

    chain: str
    value: float
    shade: float
    best: bool


@dataclass(frozen=True)
class HeatMap:
    """The scores of chains that differ only in background removal and inversion.

    Attributes:
        rest: the other steps, with … in place of the two; the same for all.
        column: the metric.
        backgrounds, inversions: names of the rows and columns, the best means first.
        cells: by background removal and inversion.
    """

    rest: str
    column: Column
    backgrounds: list[str]
    inversions: list[str]
    cells: dict[tuple[str, str], Combination]


def heat_maps(study: Study, overview: Overview) -> list[HeatMap]:
    """Return the heat maps of at least two methods of background removal and two of inversion."""
    values = {s.chain: _mean(overview, s.cells) for s in overview.others}
    records = _records(study)
    parts: dict[str, dict[tuple[str, str], str]] = {}
    for chain, value in values.items():
        pair = _pair(chain, records)
        if pair and math.isfinite(value):
            rest, background, inversion = pair
            parts.setdefault(rest, {})[background, inversion] = chain
    maps = [_heat_map(rest, pairs, values, overview.column) for rest, pairs in parts.items()]
    return [m for m in maps if len(m.backgrounds) > 1 and len(m.inversions) > 1]


def _mean(overview: Overview, cells: list) -> float:
    """Return the mean over the conditions; NaN if one is missing, since the means would not be comparable."""
    found = [i.estimate for i in cells if i is not None]
    if not found or len(found) < len(cells):
        return math.nan
    if overview.geometric and min(found) > 0:
        return math.exp(sum(map(math.log, found)) / len(found))
    return sum(found) / len(found)


def _records(study: Study) -> dict[str, Record]:
    """Return a record of each step that has a result on some dataset."""
    found: dict[str, Record] = {}
    datasets = list(study.scores["dataset"].unique())
    for step in dict.fromkeys(p for c in study.chains for p in prefixes(c)):
        places = (study.folder / d / "chains" / step / RUN_FILE for d in datasets)
        record = next((r for f in places if (r := read_record(f)) is not None and r.ok), None)
        if record is not None:
            found[step] = record
    return found


def _pair(chain: str, records: dict[str, Record]) -> tuple[str, str, str] | None:
    """Return the other steps of a chain, its background removal and its inversion."""
    background = inversion = ""
    rest = []
    for step in prefixes(chain):
        name, products = step.rpartition(".")[2], records[step].products if step in records else {}
        if ARTIFACTS["local_field"].file in products and ARTIFACTS["chi"].file not in products and not background:
            background = name
        elif ARTIFACTS["chi"].file in products and background and not inversion:
            inversion = name
        else:
            rest.append(name)
            continue
        rest.append("…")
    return (".".join(rest), background, inversion) if background and inversion else None


def _heat_map(rest: str, pairs: dict[tuple[str, str], str], values: dict[str, float], column: Column) -> HeatMap:
    losses = {pair: _loss(values[chain], column) for pair, chain in pairs.items()}
    low, high = min(losses.values()), max(losses.values())
    cells = {
        pair: Combination(
            chain,
            values[chain],
            STRONGEST * ((high - losses[pair]) / (high - low) if high > low else 0.0),
            losses[pair] == low,
        )
        for pair, chain in pairs.items()
    }
    rows, columns = (_by_mean(losses, axis) for axis in (0, 1))
    return HeatMap(rest, column, rows, columns, cells)


def _by_mean(losses: dict[tuple[str, str], float], axis: int) -> list[str]:
    names = dict.fromkeys(pair[axis] for pair in losses)
    mean = {n: sum(its) / len(its) for n in names if (its := [v for pair, v in losses.items() if pair[axis] == n])}
    return sorted(mean, key=lambda n: mean[n])


def _loss(value: float, column: Column) -> float:
    return abs(value - column.best) if column.higher_is_better is None or not column.higher_is_better else -value
