"""The overview of a study: every chain in every condition, its rank, and what can be said about the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsmbench.analysis.columns import Column
from qsmbench.analysis.comparison import (
    Comparison,
    compare_family,
    sentence,
    subjects_needed,
)
from qsmbench.analysis.intervals import NOISE, NOTHING, Interval, mean_interval
from qsmbench.analysis.losses import use_ratio
from qsmbench.analysis.rankings import Ranking, ranking, subject_losses, tied_with_first
from qsmbench.analysis.results import Study
from qsmbench.analysis.standings import between
from qsmbench.analysis.subjects import Sample
from qsmbench.data.score_table import CONTROLS, is_fed, is_isolated

NAMED = 6
"""Largest number of tied chains that a sentence names."""


MOST_PHANTOMS = 3
"""Largest number of phantoms of which each pair of rankings is compared."""


@dataclass(frozen=True)
class Standing:
    """A chain of the overview.

    Attributes:
        chain: the chain.
        rank, low, high: its rank among isolated or other chains, with the interval; NaN for controls, or if unknown.
        tied: whether it is not shown to be worse than the first; False if that cannot be tested.
        cells: its mean in each condition, with the interval; None without a score.
    """

    chain: str
    rank: float
    low: float
    high: float
    tied: bool
    cells: list[Interval | None]


@dataclass(frozen=True)
class Overview:
    """One metric of all chains on one support, over all conditions.

    Attributes:
        artifact: the scored artifact.
        column: the metric.
        support: of the scores.
        geometric: whether means are geometric, as those of errors.
        conditions: names of the conditions.
        groups: the groups of each condition.
        subjects: number of subjects in each condition.
        n_subjects: number of subjects in all conditions, each counted once.
        covers: what the intervals cover; see `intervals`.
        isolated, others, controls: the chains, in the order of their ranks.
        sentences: the verdicts.
    """

    artifact: str
    column: Column
    support: str
    geometric: bool
    conditions: list[str]
    groups: list[list[str]]
    subjects: list[int]
    n_subjects: int
    covers: str
    isolated: list[Standing]
    others: list[Standing]
    controls: list[Standing]
    sentences: list[str]

    @property
    def ranked(self) -> list[list[Standing]]:
        """The chains that compete, isolated ones apart from the others."""
        return [part for part in (self.others, self.isolated) if part]


def overview(study: Study, artifact: str, column: Column, support: str, *, what: str = "chain") -> Overview:
    """Return the overview of one metric; `what` is what the sentences call a chain."""
    sample = study.sample(column, artifact, support)
    scored = [c for c in sample.values.columns if sample.values[c].notna().any() and not is_fed(c)]
    geometric = use_ratio(column, sample.values[[c for c in scored if c not in CONTROLS]].to_numpy(float))
    conditions = sample.conditions
    group_of = study.factors["group"].reindex(sample.values.index).astype(str).to_numpy()
    cells = {chain: _cells(sample, chain, conditions, geometric=geometric) for chain in scored}
    isolated = [c for c in scored if is_isolated(c)]
    others = [c for c in scored if c not in CONTROLS and c not in isolated]
    parts = [_part(sample, chains, cells, what) for chains, what in ((isolated, f"isolated {what}"), (others, what))]
    covers = {i.covers for row in cells.values() for i in row if i is not None}
    return Overview(
        artifact=artifact,
        column=column,
        support=support,
        geometric=geometric,
        conditions=conditions,
        groups=[list(dict.fromkeys(group_of[sample.condition == c].tolist())) for c in conditions],
        subjects=[np.unique(sample.subject[sample.condition == c]).size for c in conditions],
        n_subjects=sample.n_subjects,
        covers=NOTHING if covers <= {NOTHING} else NOISE if covers <= {NOTHING, NOISE} else "subjects",
        isolated=parts[0][0],
        others=parts[1][0],
        controls=[Standing(c, np.nan, np.nan, np.nan, False, cells[c]) for c in scored if c in CONTROLS],
        sentences=parts[1][1] + parts[0][1] + _carried(study, sample),
    )


def _carried(study: Study, sample: Sample) -> list[str]:
    """Say whether the ranking carries over between phantoms, if there are several with enough chains."""
    if "phantom" not in study.factors or np.isnan(sample.column.best):
        return []
    phantoms = study.factors["phantom"].reindex(sample.values.index).fillna("").astype(str).tolist()
    if len(set(phantoms)) > MOST_PHANTOMS:
        return []
    return between(sample, phantoms, only_known=True)


def _cells(sample: Sample, chain: str, conditions: Sequence[str], *, geometric: bool) -> list[Interval | None]:
    values = sample.values[chain].to_numpy(float)
    found: list[Interval | None] = []
    for condition in conditions:
        its = (sample.condition == condition) & ~np.isnan(values)
        positive = geometric and bool((values[its] > 0).all())
        shown = np.log(values[its]) if positive else values[its]
        interval = mean_interval(shown, sample.group[its], sample.subject[its])
        found.append(None if not its.any() else interval.exp() if positive else interval)
    return found


def _part(
    sample: Sample, chains: Sequence[str], cells: dict[str, list[Interval | None]], what: str
) -> tuple[list[Standing], list[str]]:
    """Return the standings and the sentences of chains that compete with each other."""
    if not chains or np.isnan(sample.column.best):
        return [], []
    own = sample.of(chains)
    own = own.where(own.values.notna().any(axis=1).to_numpy())
    ranked = ranking(subject_losses(own, chains), chains)
    against = _against_first(own, ranked)
    tested = any(not np.isnan(c.p) for c in against)
    tied = tied_with_first(ranked.chains, against) if tested else []
    places = zip(ranked.chains, ranked.rank, ranked.low, ranked.high, strict=True)
    rows = [Standing(c, float(r), float(a), float(b), c in tied, cells[c]) for c, r, a, b in places]
    return rows, _sentences(own, ranked, against, tied, what)


def _against_first(sample: Sample, ranked: Ranking) -> list[Comparison]:
    """Compare the first chain with every other; the family is all pairs, since the first is known from the scores."""
    first, *rest = ranked.chains
    n = len(ranked.chains)
    return compare_family(sample, [(first, c) for c in rest], family=n * (n - 1) // 2)


def _sentences(
    sample: Sample, ranked: Ranking, against: Sequence[Comparison], tied: Sequence[str], what: str
) -> list[str]:
    n, label = ranked.subjects, sample.column.label
    first, *rest = ranked.chains
    if not rest:
        return [f"{first} is the only {what} in its ranking: there is nothing to compare it with."]
    found = [f"{first} is the {what} with the best mean {label}"]
    family = against[0].family
    if n == 1:
        found[0] += (
            f" on the one subject of this study ({len(sample.values)} scan{'s' if len(sample.values) > 1 else ''})."
        )
    elif not tied:
        found[0] += (
            f" over {n} subjects. Whether it is better cannot be tested: {_counted(family, 'comparison')} would "
            f"need at least {subjects_needed(family)} subjects."
        )
    else:
        others = [c for c in tied if c != first]
        found[0] += f" over {n} subjects"
        if others:
            named = ", ".join(others) if len(others) <= NAMED else f"{', '.join(others[:NAMED])} and others"
            found[0] += f"; {_counted(len(others), what)} of {len(rest)} not shown to be worse: {named}."
        else:
            found[0] += f", and shown to be better than each of the {len(rest)} others."
    found.append(sentence(against[0]))
    if ranked.incomplete:
        found.append(f"Without a score on some subject, where they count as the worst: {', '.join(ranked.incomplete)}.")
    return found


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"
