"""Confidence intervals of means over subjects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from qsmbench.analysis.subjects import subject_means

LEVEL = 0.95
"""Level of the intervals."""

SUBJECTS, NOISE, NOTHING = "subjects", "noise", "nothing"
"""What an interval covers: other subjects; only other noise on the same subject; nothing, since there is one scan."""


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        estimate: the mean.
        low, high: ends of the interval; NaN if there is none.
        n: number of subjects.
        scans: number of scans.
        covers: `SUBJECTS`, `NOISE` or `NOTHING`.
        spread: standard deviation of the subject means; NaN for one subject.
        degrees: degrees of freedom.
    """

    estimate: float
    low: float
    high: float
    n: int
    scans: int
    covers: str
    spread: float = math.nan
    degrees: int = 0

    def exp(self) -> Interval:
        """Return the interval of the geometric mean, if this one is that of logarithms; `spread` stays logarithmic."""
        return replace(self, estimate=math.exp(self.estimate), low=math.exp(self.low), high=math.exp(self.high))


def mean_interval(
    values: np.ndarray,
    group: np.ndarray,
    subject: np.ndarray,
    *,
    level: float = LEVEL,
    method: Literal["t", "bootstrap-t"] = "t",
) -> Interval:
    """Return the mean over subjects with its interval.

    The scans of each subject are averaged first. With a single subject, the interval is that of the noise alone: it
    comes from the spread over the seeds within each group, and says nothing about other subjects.

    Args:
        values: (scans,), without NaN.
        group, subject: of each scan, (scans,).
        level: of the interval.
        method: t, or bootstrap-t for skewed values; see `t_interval` and `bootstrap_t`.
    """
    if values.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0, NOTHING)
    means, _ = subject_means(values, group, subject)
    if means.size == 1:
        return _of_noise(values, group, float(means[0]), level)
    low, high = (t_interval if method == "t" else bootstrap_t)(means, level)
    return Interval(
        float(means.mean()), low, high, means.size, values.size, SUBJECTS, float(means.std(ddof=1)), means.size - 1
    )


def t_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Compute Student's t interval of a mean of independent values, (n,) with n ≥ 2."""
    error = values.std(ddof=1) / math.sqrt(values.size)
    reach = float(special.stdtrit(values.size - 1, (1 + level) / 2) * error)
    return float(values.mean()) - reach, float(values.mean()) + reach


def bootstrap_t(values: np.ndarray, level: float = LEVEL, resamples: int = 4999, seed: int = 0) -> tuple[float, float]:
    """Compute the bootstrap-t interval of a mean of independent values (Efron 1981, doi:10.2307/3314608).

    Unlike Student's t, it follows the skewness of the values. Below 5 values there are too few different resamples, so
    that it is at least as wide as Student's.

    Args:
        values: (n,) with n ≥ 2.
        level: of the interval.
        resamples: number of resamples.
        seed: of the resamples.
    """
    n = values.size
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return mean, mean
    drawn = values[np.random.default_rng(seed).integers(0, n, (resamples, n))]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(n)
    usable = errors > 1e-12 * error  # resamples of a single value have no t
    t = (drawn.mean(axis=1)[usable] - mean) / errors[usable]
    upper, lower = np.quantile(t, [(1 + level) / 2, (1 - level) / 2])
    low, high = mean - float(upper) * error, mean - float(lower) * error
    if n < 5:
        student = t_interval(values, level)
        low, high = min(low, student[0]), max(high, student[1])
    return low, high


def _of_noise(values: np.ndarray, group: np.ndarray, mean: float, level: float) -> Interval:
    """Return the interval over the seeds of one subject, with their variance pooled over its groups."""
    _, code, count = np.unique(group, return_inverse=True, return_counts=True)
    degrees = int(values.size - count.size)
    if degrees == 0:
        return Interval(mean, math.nan, math.nan, 1, values.size, NOTHING)
    centred = values - (np.bincount(code, values) / count)[code]
    variance = float(np.square(centred).sum()) / degrees
    error = math.sqrt(variance * float((1 / count).sum())) / count.size
    reach = float(special.stdtrit(degrees, (1 + level) / 2)) * error
    return Interval(mean, mean - reach, mean + reach, 1, values.size, NOISE, degrees=degrees)
