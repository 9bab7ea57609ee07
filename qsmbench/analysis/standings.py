"""The ranks of the chains of a study by every rule, and whether they carry over to other scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.analysis.agreement import agreement
from qsmbench.analysis.comparison import subjects_needed
from qsmbench.analysis.rankings import RESAMPLES, RULES, Ranking, competing, ranking, subject_losses
from qsmbench.analysis.subjects import Sample
from qsmbench.errors import FailedError

if TYPE_CHECKING:
    import pandas as pd


def ranked_together(sample: Sample) -> dict[str, list[str]]:
    """Return the chains that compete and have a score, by what they are called."""
    scored = [c for c in sample.values.columns if sample.values[c].notna().any()]
    parts = {"chains": competing(scored, isolated=False), "isolated chains": competing(scored, isolated=True)}
    return {name: chains for name, chains in parts.items() if chains}


def by_rules(sample: Sample, chains: Sequence[str]) -> dict[str, Ranking]:
    """Rank chains by each of `rankings.RULES`, on the subjects on which any of them has a score.

    Ranks by the number of wins have no interval: resampled subjects are not distinct, as the test assumes.
    """
    own = sample.of(chains)
    own = own.where(own.values.notna().any(axis=1).to_numpy())
    losses = subject_losses(own, chains)
    return {
        rule: ranking(losses, chains, rule, resamples=0 if rule == "test_then_rank" else RESAMPLES) for rule in RULES
    }


def table(rankings: dict[str, Ranking]) -> pd.DataFrame:
    """Return rankings by several rules as a table, a row for each chain, in the order of the first."""
    import pandas as pd

    columns: dict[str, dict[str, float]] = {}
    for rule, found in rankings.items():
        columns[rule] = dict(zip(found.chains, found.rank.tolist(), strict=True))
        if not np.isnan(found.low).all():
            columns[f"{rule}_low"] = dict(zip(found.chains, found.low.tolist(), strict=True))
            columns[f"{rule}_high"] = dict(zip(found.chains, found.high.tolist(), strict=True))
    order = next(iter(rankings.values())).chains
    return pd.DataFrame(columns).reindex(order).rename_axis("chain").reset_index()


def silent(rankings: dict[str, Ranking]) -> str:
    """Return why no chain can win by tests; empty if one can."""
    found = rankings["test_then_rank"]
    n = len(found.chains)
    needed = subjects_needed(n * (n - 1) // 2) if n > 1 else 0
    if found.subjects >= needed:
        return ""
    return f"By wins, all are tied: {found.subjects} subjects are too few for tests of {n} chains, which need {needed}."


def carries_over(first: Sample, second: Sample, names: tuple[str, str], *, only_known: bool = False) -> list[str]:
    """Say how well the rankings on two groups of scans agree, isolated chains apart from the others.

    Args:
        first, second: scores of one metric on each group.
        names: of the groups.
        only_known: leave out why nothing can be said of some chains.
    """
    said = []
    for kind, chains in ranked_together(first).items():
        common = [c for c in chains if c in second.values.columns]
        try:
            found = agreement(first.of(common), second.of(common))
        except FailedError as e:
            why = f"Whether the ranking of {kind} carries over from {names[0]} to {names[1]} cannot be said: {e}."
            said += [] if only_known else [why]
            continue
        counts = f"{found.subjects[0]} and {found.subjects[1]} subjects"
        interval = f"95 % interval {found.low:.2f} to {found.high:.2f}, over {counts}".replace("-", "−")
        given = f"{counts}; no interval" if np.isnan(found.low) else interval
        tau = f"{found.tau:.2f}".replace("-", "−")
        which = f"{len(found.chains)} {kind} by {first.column.label} on {names[0]} and on {names[1]}"
        said.append(f"The rankings of {which} agree with Kendall's τ = {tau} ({given}).")
    return said


def between(sample: Sample, levels: Sequence[str], *, only_known: bool = False) -> list[str]:
    """Say how well the rankings agree between the levels of a factor, each pair of them.

    Args:
        sample: scores of one metric.
        levels: of the factor, for each scan; empty where it has none.
        only_known: as in `carries_over`.
    """
    given = np.array(levels, object)
    names = [name for name in dict.fromkeys(levels) if name]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    parts = {name: sample.where(given == name) for name in names}
    return [s for a, b in pairs for s in carries_over(parts[a], parts[b], (a, b), only_known=only_known)]
