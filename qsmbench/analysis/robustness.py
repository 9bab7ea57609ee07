"""Robustness: the scores of a chain over the levels of a crossed factor, and where it stays within a tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.intervals import Interval, mean_interval
from qsmbench.analysis.losses import losses, use_ratio
from qsmbench.analysis.subjects import Sample
from qsmbench.data.score_table import COLUMNS, FACTORS
from qsmbench.errors import QsmbenchError, suggest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Point:
    """A level of a factor.

    Attributes:
        level: of the factor.
        value: mean over subjects (geometric for errors), with its interval.
        change: ratio to the chain's value at its best level on the same subjects (or difference of losses), with its
            interval.
        within: whether the change is within the tolerance.
        certain: whether the whole interval of the change is.
    """

    level: Any
    value: Interval
    change: Interval
    within: bool
    certain: bool


@dataclass(frozen=True)
class Curve:
    """A chain over the levels of a factor.

    Attributes:
        chain: the chain.
        ratio: whether changes are ratios.
        best: the level with the smallest loss.
        points: by level, ascending for numbers.
        envelope: the levels around the best one, without a gap, at which the chain stays within the tolerance.
    """

    chain: str
    ratio: bool
    best: Any
    points: list[Point]
    envelope: list[Any]


def crossed_factors(factors: pd.DataFrame) -> list[str]:
    """Return the overridden keys with several levels, as columns of `factors`."""
    keys = [c for c in factors.columns if c not in (*FACTORS, *COLUMNS)]
    return [c for c in keys if len(_levels(factors[c])) > 1]


def _levels(values: pd.Series) -> list[Any]:
    """Return the levels of a factor, numbers ascending."""
    found = [v for v in values.dropna().unique().tolist() if v != ""]
    return sorted(found, key=lambda v: (isinstance(v, str), v))


def curves(sample: Sample, factors: pd.DataFrame, factor: str, *, tolerance: float = 0.1) -> list[Curve]:
    """Return the curve of each chain over a factor.

    Scans that agree in all else are averaged per subject at each level. Only subjects with a score at every level are
    used, so that a change is that of the same subjects.

    Args:
        sample: scores of one metric.
        factors: of each dataset; index: dataset.
        factor: a column of `factors`.
        tolerance: largest tolerated increase of the loss over its best level: a share of an error, otherwise a
            difference.

    Raises:
        QsmbenchError: there is no such factor, or it has a single level.
    """
    if factor not in factors.columns:
        raise QsmbenchError(f"factor {factor!r} is unknown; {suggest(factor, factors.columns)}")
    of_scan = factors[factor].reindex(sample.values.index)
    levels = _levels(of_scan)
    if len(levels) < 2:
        raise QsmbenchError(f"factor {factor!r} has {len(levels)} level in this study; it must have at least 2")
    code = np.array([levels.index(v) if v in levels else -1 for v in of_scan])
    found = (_curve(sample, chain, code, levels, tolerance) for chain in sample.values.columns)
    return [c for c in found if c is not None]


def _curve(sample: Sample, chain: str, code: np.ndarray, levels: list[Any], tolerance: float) -> Curve | None:
    values = sample.values[chain].to_numpy(float)
    known = ~np.isnan(values) & (code >= 0)
    ratio = use_ratio(sample.column, values[known])
    loss = losses(values, sample.column, ratio=ratio)
    table = np.full((int(sample.subject.max()) + 1, len(levels)), np.nan)
    for s, k in {(s, k) for s, k in zip(sample.subject[known].tolist(), code[known].tolist(), strict=True)}:
        its = known & (sample.subject == s) & (code == k)
        groups = np.unique(sample.group[its])
        table[s, k] = np.mean([loss[its & (sample.group == g)].mean() for g in groups])
    table = table[~np.isnan(table).any(axis=1)]
    if not len(table):
        return None
    best = int(np.argmin(table.mean(axis=0)))
    points = []
    for k, level in enumerate(levels):
        change = _over_subjects(table[:, k] - table[:, best])
        change = change.exp() if ratio else change
        bound = 1 + tolerance if ratio else tolerance
        own = _over_subjects(table[:, k])
        value = own.exp() if ratio else own
        certain = change.high <= bound or k == best
        points.append(Point(level, value, change, change.estimate <= bound, bool(certain)))
    return Curve(chain, ratio, levels[best], points, _around(best, points))


def _over_subjects(values: np.ndarray) -> Interval:
    each = np.arange(values.size)
    return mean_interval(values, each, each)


def _around(best: int, points: list[Point]) -> list[Any]:
    first = last = best
    while first > 0 and points[first - 1].within:
        first -= 1
    while last + 1 < len(points) and points[last + 1].within:
        last += 1
    return [p.level for p in points[first : last + 1]]
