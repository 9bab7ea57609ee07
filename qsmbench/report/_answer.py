"""The answer of a study on one screen: the best chains by purpose, how sure that is, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsmbench.analysis.comparison import subjects_needed
from qsmbench.analysis.families import FamilyRanks
from qsmbench.analysis.overview import Overview
from qsmbench.analysis.results import Study
from qsmbench.analysis.summary import Table
from qsmbench.report._methods import MethodUse

PURPOSES = {
    "error": "a small error by several measures",
    "parts of the mask": "a small error at the edge and inside",
    "structure": "the structure of the map",
    "deep grey matter": "the values of deep grey matter",
    "field": "agreement with the field",
}
"""What each family of metrics rates, if χ is to be used for it."""

NAMED = 4
"""Largest number of chains named in a cell."""


@dataclass(frozen=True)
class Best:
    """The chain for a purpose.

    Attributes:
        purpose: what it is used for.
        metrics: that rate it.
        chain: first by mean rank.
        equal: other chains with the same rank.
        rank, low, high: its mean rank, with the 95 % interval over subjects; NaN ends with a single subject.
        near: other chains whose intervals overlap with its own, the first few.
        more: number of further ones.
        unknown: why they cannot be told apart; empty if they can.
    """

    purpose: str
    metrics: str
    chain: str
    equal: list[str]
    rank: float
    low: float
    high: float
    near: list[str]
    more: int
    unknown: str


def answer(
    study: Study, tables: Sequence[Table], overviews: Sequence[Mapping[str, Overview]], families: Sequence[FamilyRanks]
) -> dict[str, Any]:
    """Return the content of the first section; empty if nothing is ranked.

    Args:
        study: the study.
        tables: its score tables.
        overviews: of each artifact, by support; the first is shown.
        families: ranks by family of the first artifact.
    """
    if not overviews:
        return {}
    first = overviews[0]
    competing = [f for f in families if not f.isolated] or list(families)
    subjects = first["study"].n_subjects
    factors = study.factors
    names = {
        n: sorted({str(v) for v in factors[n] if str(v)}) for n in ("phantom", "scenario", "protocol") if n in factors
    }
    return {
        "sentences": {support: o.sentences for support, o in first.items()},
        "best": [b for f in competing[:1] for name in f.families if (b := _best(f, name, subjects)) is not None],
        "isolated": bool(competing) and competing[0].isolated,
        "subjects": subjects,
        "covers": first["study"].covers,
        "conditions": len(first["study"].conditions),
        "names": {n: its for n, its in names.items() if its},
        "failed": sum(len(t.failed) for t in tables) + len(study.unmade),
    }


def explained(best: Sequence[Best], methods: Sequence[MethodUse]) -> list[MethodUse]:
    """Return the methods of the best chains that say what they do, those that come first in a chain first."""
    place = {step: i for b in best for chain in (*b.equal, b.chain) for i, step in enumerate(chain.split("."))}
    return sorted((m for m in methods if m.summary and m.name in place), key=lambda m: place[m.name])


def _best(ranks: FamilyRanks, family: str, subjects: int) -> Best | None:
    places = {c: r for c in ranks.chains if (r := ranks.ranks.get(family, {}).get(c)) and r[0] == r[0]}
    if family not in PURPOSES or len(places) < 2:
        return None
    chain = min(places, key=lambda c: places[c][0])
    rank, low, high = places[chain]
    equal = [c for c in places if c != chain and places[c][0] == rank]
    near = (c for c in places if c != chain and c not in equal and places[c][1] <= high)
    others = sorted(near, key=lambda c: places[c][0])
    needed = subjects_needed(len(places) * (len(places) - 1) // 2)
    unknown = "" if subjects >= needed else f"a test needs {needed} subjects, not {subjects}"
    labels = ", ".join(c.label for c in ranks.families[family])
    more = max(len(others) - NAMED, 0)
    return Best(PURPOSES[family], labels, chain, equal, rank, low, high, others[:NAMED], more, unknown)
