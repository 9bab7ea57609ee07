"""Outcomes as lines of the page."""

from __future__ import annotations

from pathlib import Path

from qsmbench.report.review import Effect, Line
from qsmbench.review.claims import Review
from qsmbench.review.decide import Part
from qsmbench.review.evaluate import Outcome
from qsmbench.review.perform import picture


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
