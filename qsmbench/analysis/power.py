"""How many subjects would show a difference."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import special, stats

from qsmbench.analysis.comparison import ALPHA, subjects_needed
from qsmbench.analysis.intervals import LEVEL

DRAWS = 20_000
"""Simulated studies; the standard error of a power is at most 0.4 %."""


@lru_cache(maxsize=4096)
def power(ratio: float, spread: float, n: int, comparisons: int = 1) -> float:
    """Return the probability that a paired comparison finds a difference, with `n` subjects.

    It is simulated for the rule of `comparison`: signed-rank test at the level of Holm's first step, and an interval
    that excludes 1. Subject means of the log ratio are assumed to be normal.

    Args:
        ratio: true ratio of the errors.
        spread: standard deviation of the log ratio over the subjects, such as `Interval.spread`.
        n: number of subjects.
        comparisons: in the family.
    """
    if n < subjects_needed(comparisons):
        return 0.0
    drawn = np.random.default_rng(0).normal(math.log(ratio), spread, (DRAWS, n))
    p = stats.wilcoxon(drawn, axis=1).pvalue
    reach = special.stdtrit(n - 1, (1 + LEVEL) / 2) * drawn.std(axis=1, ddof=1) / math.sqrt(n)
    return float(np.mean((p <= ALPHA / comparisons) & (np.abs(drawn.mean(axis=1)) > reach)))


def subjects_for(
    ratio: float, spread: float, wanted: float = 0.8, comparisons: int = 1, most: int = 1000
) -> int | None:
    """Return the smallest number of subjects with a power of at least `wanted`; None if it is more than `most`.

    Args:
        ratio, spread, comparisons: see `power`.
        wanted: power.
        most: largest number considered.
    """
    low = subjects_needed(comparisons)
    high = low
    while power(ratio, spread, high, comparisons) < wanted:
        low, high = high + 1, 2 * high
        if low > most:
            return None
    while low < high:
        middle = (low + high) // 2
        if power(ratio, spread, middle, comparisons) < wanted:
            low = middle + 1
        else:
            high = middle
    return high if high <= most else None
