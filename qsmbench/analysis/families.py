"""Rankings by family of metrics, and by a weighted score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsmbench.analysis.columns import FAMILIES, OTHERS, Column, family_of
from qsmbench.analysis.rankings import Ranking, Weighted, competing, mean_ranks, ranking, weighted
from qsmbench.analysis.results import Study
from qsmbench.analysis.subjects import Sample


@dataclass(frozen=True)
class FamilyRanks:
    """Ranks of chains that compete with each other, in each family of metrics.

    Attributes:
        isolated: whether they are isolated chains.
        chains: in the order of their ranks in the first family.
        families: the metrics of each family.
        ranks: rank and ends of its interval, by family and chain; a family without any score is omitted.
        score: by the weighted score of the study, with its sensitivity; None if it defines none.
    """

    isolated: bool
    chains: list[str]
    families: dict[str, list[Column]]
    ranks: dict[str, dict[str, tuple[float, float, float]]]
    score: Weighted | None

    @property
    def score_of(self) -> dict[str, tuple[float, float, float, float]]:
        """Rank by the weighted score, the smallest and largest under other weights, and the share of first places."""
        w = self.score
        if w is None:
            return {}
        rows = zip(w.ranking.chains, w.ranking.rank, w.least, w.most, w.first, strict=True)
        return {c: (float(r), float(a), float(b), float(f)) for c, r, a, b, f in rows}


def family_ranks(
    study: Study, artifact: str, columns: Sequence[Column], weights: Mapping[str, float], support: str = "study"
) -> list[FamilyRanks]:
    """Rank the chains in each family by the mean over its metrics of their ranks on each subject.

    Args:
        study: the study.
        artifact: the scored artifact.
        columns: the metrics.
        weights: of the metrics in a weighted score; empty for none.
        support: of the scores.
    """
    judged = [c for c in columns if c.metric != "coverage" and c.best == c.best and family_of(c.metric) != OTHERS]
    samples = {c.metric: study.sample(c, artifact, support) for c in judged}
    samples = {m: s for m, s in samples.items() if len(s.values)}
    scored = list(dict.fromkeys(c for s in samples.values() for c in s.values.columns if s.values[c].notna().any()))
    parts = {isolated: competing(scored, isolated=isolated) for isolated in (False, True)}
    return [_part(samples, chains, weights, isolated) for isolated, chains in parts.items() if len(chains) > 1]


def _part(samples: dict[str, Sample], chains: list[str], weights: Mapping[str, float], isolated: bool) -> FamilyRanks:
    own = {m: s for m, s in samples.items() if all(c in s.values for c in chains)}
    own = {m: s for m, s in own.items() if s.values[chains].notna().to_numpy().any()}
    by_family = {name: [own[m] for m in its if m in own] for name, its in FAMILIES.items()}
    by_family = {name: its for name, its in by_family.items() if its}
    ranks = {name: _by_chain(ranking(mean_ranks(its, chains), chains)) for name, its in by_family.items()}
    score = weighted(own, weights, chains) if weights and all(m in own for m in weights) else None
    families = {name: [s.column for s in its] for name, its in by_family.items()}
    first = next(iter(ranks.values()), {})
    ordered = sorted(chains, key=lambda c: first[c][0]) if first else chains
    return FamilyRanks(isolated, ordered, families, ranks, score)


def _by_chain(r: Ranking) -> dict[str, tuple[float, float, float]]:
    rows = zip(r.chains, r.rank, r.low, r.high, strict=True)
    return {c: (float(rank), float(low), float(high)) for c, rank, low, high in rows}
