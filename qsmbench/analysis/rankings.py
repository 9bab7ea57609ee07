"""Rankings of chains by several rules, with intervals of the ranks over subjects.

The rules and the resampling of subjects follow Wiesenfarth 2021, doi:10.1038/s41598-021-82017-6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from qsmbench.analysis.columns import FAMILIES, Column
from qsmbench.analysis.comparison import ALPHA, BETTER, EQUIVALENT, WORSE, Comparison, all_pairs, compare_family, holm
from qsmbench.analysis.intervals import LEVEL
from qsmbench.analysis.losses import losses, use_ratio
from qsmbench.analysis.subjects import Sample, subject_means
from qsmbench.data.score_table import CONTROLS, is_fed, is_isolated
from qsmbench.errors import QsmbenchError, suggest

Rule = Literal["aggregate_then_rank", "rank_then_aggregate", "test_then_rank"]

RULES: dict[Rule, str] = {
    "aggregate_then_rank": "by the mean over subjects",
    "rank_then_aggregate": "by the mean of the ranks on each subject",
    "test_then_rank": "by the number of chains that a chain is significantly better than",
}

RESAMPLES = 1000


def competing(chains: Sequence[str], *, isolated: bool) -> list[str]:
    """Return the chains that are ranked together: the isolated ones, or those that start from the phase."""
    return [c for c in chains if c not in CONTROLS and not is_fed(c) and is_isolated(c) is isolated]


@dataclass(frozen=True)
class Ranking:
    """The ranks of chains.

    Attributes:
        chains: in the order of their ranks.
        rank: of each chain; equal chains share the mean of their ranks.
        low, high: ends of the interval of each rank, over resampled subjects; NaN for a single subject.
        tau: mean Kendall's τ between the ranking and those of resampled subjects; NaN for a single subject.
        subjects: number of subjects.
        incomplete: chains without a score on some subject; there, they count as the worst.
    """

    chains: list[str]
    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tau: float
    subjects: int
    incomplete: list[str]


def subject_losses(sample: Sample, chains: Sequence[str]) -> np.ndarray:
    """Return the mean loss of each chain on each subject, (subjects, chains); NaN where a scan has no score."""
    values = sample.values[list(chains)].to_numpy(float)
    ratio = use_ratio(sample.column, values)
    return subject_means(losses(values, sample.column, ratio=ratio), sample.group, sample.subject)[0]


def ranks(values: np.ndarray, rule: Rule = "aggregate_then_rank") -> np.ndarray:
    """Rank chains; the smallest loss has rank 1, equal ones share the mean of their ranks.

    Args:
        values: (…, subjects, chains), losses without NaN.
        rule: one of `RULES`.

    Returns:
        (…, chains).

    Raises:
        QsmbenchError: the rule is unknown.
    """
    if rule == "aggregate_then_rank":
        return stats.rankdata(np.round(values.mean(axis=-2), 12), axis=-1)
    if rule == "rank_then_aggregate":
        return stats.rankdata(np.round(stats.rankdata(values, axis=-1).mean(axis=-2), 9), axis=-1)
    if rule == "test_then_rank":
        if values.ndim > 2:
            return np.stack([ranks(v, rule) for v in values])
        return stats.rankdata(-_wins(values))
    raise QsmbenchError(f"rule is {rule!r}; {suggest(rule, RULES)}")


def _wins(values: np.ndarray) -> np.ndarray:
    """Count the chains that each chain beats by a one-sided signed-rank test, Holm over all ordered pairs."""
    n = values.shape[1]
    ordered = [(i, j) for i in range(n) for j in range(n) if i != j]
    first, second = np.array(ordered, int).reshape(-1, 2).T
    difference = values[:, first] - values[:, second]
    p = np.ones(len(ordered))
    usable = (difference != 0).any(axis=0)
    if usable.any():
        p[usable] = stats.wilcoxon(difference[:, usable], axis=0, alternative="less").pvalue
    return np.bincount(first, np.array(holm(p.tolist())) <= ALPHA, minlength=n)


def ranking(
    values: np.ndarray,
    chains: Sequence[str],
    rule: Rule = "aggregate_then_rank",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ranking:
    """Rank chains, with intervals from resampled subjects.

    A missing loss counts as the worst of its subject.

    Args:
        values: (subjects, chains), losses.
        chains: their names.
        rule: one of `RULES`.
        resamples: number of resamples of the subjects; 0 for no intervals.
        seed: of the resamples.

    Raises:
        QsmbenchError: the rule is unknown.
    """
    missing = np.isnan(values)
    worst = np.nanmax(np.where(missing, -np.inf, values), axis=1, keepdims=True)
    filled = np.where(missing, np.where(np.isfinite(worst), worst, 0), values)
    rank = ranks(filled, rule)
    n = len(values)
    low, high, tau = np.full(rank.shape, np.nan), np.full(rank.shape, np.nan), np.nan
    if n > 1 and resamples:
        drawn = filled[np.random.default_rng(seed).integers(0, n, (resamples, n))]
        again = ranks(drawn, rule)
        low, high = np.quantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        low, high = np.minimum(low, rank), np.maximum(high, rank)
        tau = _mean_tau(rank, again)
    order = np.argsort(rank, kind="stable")
    incomplete = [c for c, gone in zip(chains, missing.any(axis=0), strict=True) if gone]
    return Ranking([chains[i] for i in order], rank[order], low[order], high[order], tau, n, incomplete)


def _mean_tau(rank: np.ndarray, again: np.ndarray) -> float:
    """Return the mean of Kendall's τ-b between a ranking and others, (chains,) and (resamples, chains)."""
    i, j = np.triu_indices(rank.size, 1)
    own, others = np.sign(rank[i] - rank[j]), np.sign(again[:, i] - again[:, j])
    sizes = np.abs(own).sum() * np.abs(others).sum(axis=1)
    if not np.all(sizes):
        return float("nan")
    return float(np.mean(others @ own / np.sqrt(sizes)))


def tied_with_first(chains: Sequence[str], comparisons: Sequence[Comparison]) -> list[str]:
    """Return the chains of a ranking that are not shown to be worse than its first, including the first.

    Args:
        chains: in the order of their ranks.
        comparisons: of all pairs.
    """
    if not chains:
        return []
    first = chains[0]
    worse = {c.b for c in comparisons if c.a == first and c.verdict == BETTER}
    worse |= {c.a for c in comparisons if c.b == first and c.verdict == WORSE}
    return [c for c in chains if c not in worse]


def compare_all(sample: Sample, chains: Sequence[str], condition: str = "") -> list[Comparison]:
    """Compare all pairs of chains; the family is all of them."""
    return compare_family(sample, all_pairs(chains), condition=condition)


def equivalent_pairs(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return the pairs that are shown to be equivalent."""
    return [(c.a, c.b) for c in comparisons if c.verdict == EQUIVALENT]


def mean_ranks(samples: Sequence[Sample], chains: Sequence[str]) -> np.ndarray:
    """Return the ranks of chains on each subject, averaged over metrics, (subjects, chains).

    Only subjects with every metric are used. A missing loss counts as the worst of its subject.

    Args:
        samples: one for each metric.
        chains: to rank.
    """
    return weighted_ranks(samples, chains, np.ones(len(samples)))


def weighted_ranks(samples: Sequence[Sample], chains: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean over metrics of the ranks of chains on each subject, (subjects, chains)."""
    by_metric = _ranks_by_metric(samples, chains)
    return np.tensordot(np.asarray(weights, float) / np.sum(weights), by_metric, 1)


def _ranks_by_metric(samples: Sequence[Sample], chains: Sequence[str]) -> np.ndarray:
    """Return the ranks of chains on each subject by each metric, (metrics, subjects, chains)."""
    found = []
    for s in samples:
        values = subject_losses(s, chains)
        worst = np.nanmax(np.where(np.isnan(values), -np.inf, values), axis=1, keepdims=True)
        filled = np.where(np.isnan(values), np.where(np.isfinite(worst), worst, 0), values)
        found.append(dict(zip(np.unique(s.subject).tolist(), stats.rankdata(filled, axis=1), strict=True)))
    common = [subject for subject in found[0] if all(subject in f for f in found)]
    return np.array([[f[subject] for subject in common] for f in found])


def in_families(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """Return the metrics of each family that has any."""
    known = {c.metric: c for c in columns}
    found = {name: [known[m] for m in its if m in known] for name, its in FAMILIES.items()}
    return {name: its for name, its in found.items() if its}


@dataclass(frozen=True)
class Weighted:
    """A ranking by a weighted score, and how much it depends on the weights.

    Attributes:
        ranking: by the weighted mean of the ranks by metric.
        first: for each chain of the ranking, the share of randomly perturbed weights that rank it first.
        least, most: for each chain, the smallest and largest rank under these weights.
    """

    ranking: Ranking
    first: np.ndarray
    least: np.ndarray
    most: np.ndarray


def weighted(
    samples: Mapping[str, Sample], weights: Mapping[str, float], chains: Sequence[str], *, draws: int = 1000
) -> Weighted:
    """Rank chains by the weighted mean of their ranks by metric, and vary the weights.

    For the sensitivity, every weight is multiplied by a factor between 1/2 and 2 (log-uniform, independent).

    Args:
        samples: by metric.
        weights: by metric.
        chains: to rank.
        draws: number of perturbed weights.

    Raises:
        QsmbenchError: a metric is not scored.
    """
    missing = [m for m in weights if m not in samples]
    if missing:
        raise QsmbenchError(f"weight of {missing[0]}: is not scored; {suggest(missing[0], samples)}")
    by_metric = _ranks_by_metric([samples[m] for m in weights], chains)
    given = np.array(list(weights.values()), float)
    found = ranking(np.tensordot(given / given.sum(), by_metric, 1), chains)
    factors = 2 ** np.random.default_rng(0).uniform(-1, 1, (draws, given.size))
    varied = ranks(
        (factors * given / (factors * given).sum(axis=1, keepdims=True) @ by_metric.mean(axis=1))[:, None, :]
    )
    place = [list(chains).index(c) for c in found.chains]
    lowest = varied.min(axis=1, keepdims=True)
    first = (varied == lowest).mean(axis=0)
    return Weighted(found, first[place], varied.min(axis=0)[place], varied.max(axis=0)[place])
