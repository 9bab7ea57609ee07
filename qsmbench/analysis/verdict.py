"""The comparison of two chains of a study: over all scans, and in each condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scipy import special

from qsmbench import metrics
from qsmbench.analysis.columns import column
from qsmbench.analysis.comparison import NO_SCAN, UNDECIDED, Comparison, compare_family, sentence
from qsmbench.analysis.mixed import mixed
from qsmbench.analysis.power import power, subjects_for
from qsmbench.analysis.results import Study
from qsmbench.analysis.subjects import Sample
from qsmbench.data.score_table import CONTROLS, COSTS, RUN_ROWS, SUPPORTS, is_fed
from qsmbench.errors import FailedError, QsmbenchError, suggest

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = ("nrmse", "data_consistency")
"""Metrics by which chains are compared unless others are named: the first that both have."""


MOST = 200
"""Largest number of subjects that is considered for a study that would show a difference."""


def compare_chains(
    study: Study,
    a: str,
    b: str,
    *,
    names: Sequence[str] = (),
    support: str = "study",
    margins: Mapping[str, float] | None = None,
    against_all: bool = False,
) -> list[Comparison]:
    """Compare two chains over all scans that both have, and in each condition if there are several.

    The family of each comparison over all scans is that of the metrics named; within conditions, the metrics and the
    conditions. With `against_all`, it is as many times larger as there are pairs of chains with the same artifact: for
    a pair that was chosen after a look at the scores.

    Args:
        study: the study.
        a, b: the chains.
        names: of the metrics; by default the first of `DEFAULT` that both have.
        support: study or common.
        margins: of equivalence, by metric; "" is that of all others.
        against_all: whether the pair was chosen among all pairs.

    Raises:
        QsmbenchError: a chain, a metric or the support is unknown, or the chains produce different artifacts.
        FailedError: the chains have no scan in common.
    """
    artifact = _artifact(study, a, b)
    if support not in SUPPORTS:
        raise QsmbenchError(f"support is {support!r}; {suggest(support, SUPPORTS)}")
    samples = [sample_of(study, name, artifact, support) for name in names or _default(study, artifact, a, b)]
    found: list[Comparison] = []
    for s in samples:
        given = margins or {}
        margin = given.get(s.column.metric, given.get(""))
        size = len(samples) * (_pairs(s) if against_all else 1)
        found += compare_family(s, [(a, b)], margin=margin, family=size)
        if len(s.conditions) > 1:
            size *= len(s.conditions)
            own = [compare_family(s.within(c), [(a, b)], margin=margin, condition=c, family=size) for c in s.conditions]
            found += [c for (c,) in own if c.verdict != NO_SCAN]
    if all(c.verdict == NO_SCAN for c in found):
        raise FailedError(f"{a} and {b} have no scan in common with {samples[0].column.label}")
    return found


def _artifact(study: Study, a: str, b: str) -> str:
    """Return the artifact that both chains produce, χ first."""
    if a == b:
        raise QsmbenchError(f"{a}: is compared with itself; name two chains")
    rated = study.scores[~study.scores["metric"].isin(RUN_ROWS)]
    made = {}
    for chain in (a, b):
        if chain not in study.chains:
            raise QsmbenchError(f"chain {chain!r}: {study.name} has no such chain; {suggest(chain, study.chains)}")
        made[chain] = list(rated.loc[rated["chain"] == chain, "artifact"].unique())
    both = [x for x in made[a] if x in made[b]]
    if not both:
        kinds = " and ".join(f"{c} produces {', '.join(m) or 'nothing'}" for c, m in made.items())
        raise (QsmbenchError if all(made.values()) else FailedError)(f"the chains cannot be compared: {kinds}")
    return "chi" if "chi" in both else both[0]


def _default(study: Study, artifact: str, a: str, b: str) -> list[str]:
    rows = study.scores[(study.scores["artifact"] == artifact) & study.scores["value"].notna()]
    have = [set(rows.loc[(rows["chain"] == c) & (rows["region"] == ""), "metric"]) for c in (a, b)]
    usable = [m for m in (*DEFAULT, *metrics.names()) if all(m in h for h in have)]
    if not usable:
        raise FailedError(f"{a} and {b} have no scan in common with a score")
    return usable[:1]


def sample_of(study: Study, name: str, artifact: str, support: str) -> Sample:
    """Return the scores of an artifact by a metric.

    Raises:
        QsmbenchError: there are none.
    """
    rows = study.scores[study.scores["artifact"].isin([artifact, ""]) & (study.scores["region"] == "")]
    known = [m for m in rows["metric"].unique() if m in COSTS or m not in RUN_ROWS]
    if name not in known:
        raise QsmbenchError(f"--metric {name}: {study.name} has no such score of {artifact}; {suggest(name, known)}")
    unit = rows.loc[rows["metric"] == name, "unit"]
    return study.sample(column(name, str(unit.iloc[0])), artifact, support)


def _pairs(s: Sample) -> int:
    """Return the number of pairs of chains, controls and chains of an attribution aside."""
    n = len([c for c in s.values.columns if c not in CONTROLS and not is_fed(c)])
    return max(1, n * (n - 1) // 2)


def mixed_view(study: Study, a: str, b: str, metric: str, support: str = "study") -> str:
    """Return what a mixed model says about two chains over several conditions; empty if it does not apply."""
    s = sample_of(study, metric, _artifact(study, a, b), support)
    both = s.where(s.values[[a, b]].notna().all(axis=1).to_numpy())
    if len(both.conditions) < 2 or both.n_subjects < 3:
        return ""
    try:
        found = mixed(both, a, b)
    except FailedError as e:
        return f"No mixed model: {e}."
    if found.subject + found.scan + found.noise < 1e-9:  # all differences are the same
        return ""
    i, scale = found.overall, "ratio" if found.ratio else "difference of losses"
    scans = f"{found.scan:.2g} between their scans, {found.noise:.2g} within them"
    spread = f"{found.subject:.2g} between subjects, {scans}"
    of = " of its logarithm" if found.ratio else ""
    return (
        f"Mixed model of {s.column.label}, all {len(both.conditions)} conditions with the same weight: "
        f"{scale} {i.estimate:.3f} (95 % interval {i.low:.3f} to {i.high:.3f}); standard deviations{of}: {spread}."
    )


def outlook(c: Comparison, difference: float = math.nan) -> str:
    """Return how many subjects would show a difference; empty if that cannot be said.

    Args:
        c: a comparison by ratio, of several subjects.
        difference: of the errors, as a share; by default the margin, if the verdict is open.
    """
    if not c.ratio or not c.spread > 0 or (math.isnan(difference) and c.verdict != UNDECIDED):
        return ""
    asked = not math.isnan(difference)
    ratio = 1 + (difference if asked else c.margin)
    needed = _number_for(ratio, c.spread, c.family)
    said = f"With this spread between subjects, {needed} subjects would show a difference of {100 * (ratio - 1):g} %"
    if not asked:
        return f"{said}."
    n = c.interval.n
    most = c.spread * math.sqrt((n - 1) / special.chdtri(n - 1, 0.95))
    own = f"with the {n} of this study, its power is {100 * power(ratio, c.spread, n, c.family):.0f} %"
    return (
        f"{said} with a power of 80 % ({_number_for(ratio, most, c.family)} at the spread's upper 95 % limit); {own}."
    )


def _number_for(ratio: float, spread: float, family: int) -> str:
    found = subjects_for(ratio, spread, comparisons=family, most=MOST)
    return f"{found}" if found else f"more than {MOST}"


def table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return comparisons as a table, a row each."""
    import pandas as pd

    rows = [
        {
            "a": c.a,
            "b": c.b,
            "metric": c.column.metric,
            "support": c.support,
            "condition": c.condition,
            "verdict": c.verdict,
            "scale": "ratio" if c.ratio else "difference of losses",
            "estimate": c.interval.estimate,
            "low": c.interval.low,
            "high": c.interval.high,
            "interval_covers": c.interval.covers,
            "subjects": c.interval.n,
            "scans": c.interval.scans,
            "spread": c.spread,
            "hedges_g": c.effect,
            "p": c.p,
            "p_holm": c.p_adjusted,
            "family": c.family,
            "subjects_needed": c.needed,
            "margin": c.margin,
            "p_equivalence_holm": c.p_equivalence,
            "sentence": sentence(c),
        }
        for c in comparisons
    ]
    return pd.DataFrame(rows)
