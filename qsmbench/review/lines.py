"""Outcomes and cells as lines and tables of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmbench.report.review import Comparison, Effect, Line, Value
from qsmbench.review.claims import Review
from qsmbench.review.decide import Part
from qsmbench.review.evaluate import Outcome
from qsmbench.review.perform import picture
from qsmbench.review.tables import Cell


def comparisons(review: Review, cells: Sequence[Cell]) -> list[Comparison]:
    """Return the tables of which there are cells, without the rows of which there are none."""
    known = {(c.table, c.quantity, c.b0, c.image): Value(c.value, c.low, c.high, c.n) for c in cells}
    found = []
    for table in review.tables:
        images = [(i.name, i.made_from) for i in table.images]
        rows = []
        for row in table.quantities:
            for b0 in row.arms:
                at = table.title, row.label, b0
                values = {name: known[*at, name] for name, _ in images if (*at, name) in known}
                if values:
                    rows.append((row.label, row.unit, b0, values))
        if rows:
            found.append(Comparison(table.title, table.place, table.caveat, images, rows))
    return found


def line_of(review: Review, outcome: Outcome, results: Path) -> Line:
    """Return the line of a claim."""
    claim = outcome.claim
    return Line(
        id=claim.id,
        number=claim.number,
        claim=claim.claim,
        place=claim.place,
        kind=claim.kind,
        verdict=outcome.verdict,
        published=claim.published,
        caveat=claim.caveat,
        experiment=_experiment(review, claim.experiment),
        effects=[_effect(p, claim.chains[0]) for p in outcome.parts],
        others=[_effect(p, by) for by, parts in outcome.others.items() for p in parts],
        rests_on=claim.rests_on,
        flips=outcome.flips,
        reason=outcome.reason,
        picture=picture(results, outcome),
    )


def _effect(part: Part, by: str) -> Effect:
    return Effect(
        part.label,
        by,
        part.quantity,
        part.unit,
        part.effect,
        part.low,
        part.high,
        part.n,
        part.margin,
        part.verdict,
        part.note,
    )


def _experiment(review: Review, name: str | None) -> str:
    if name is None:
        return ""
    e = review.experiments[name]
    people = {"same": "the same subjects in each arm", "other": "other subjects in each arm", "none": "one object"}
    return f"{name}: {e.phantom}, {e.protocol}; arms {', '.join(e.arms)}; {people[e.people]}"
