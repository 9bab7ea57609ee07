"""Does a ranking carry over? The agreement of the rankings of the same chains on two groups of subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.analysis.intervals import LEVEL
from qsmbench.analysis.rankings import RESAMPLES, ranks, subject_losses
from qsmbench.analysis.subjects import Sample
from qsmbench.data.score_table import CONTROLS
from qsmbench.errors import FailedError


@dataclass(frozen=True)
class Agreement:
    """Agreement of two rankings.

    Attributes:
        chains: common to both groups of subjects.
        tau: Kendall's τ-b between the rankings by the mean over subjects.
        low, high: ends of its interval, over resampled subjects; NaN unless both groups have several.
        subjects: number of subjects in each group.
    """

    chains: list[str]
    tau: float
    low: float
    high: float
    subjects: tuple[int, int]


def agreement(first: Sample, second: Sample, *, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """Compare the rankings of the chains on two groups of scans, such as those of two phantoms.

    The subjects of both groups are resampled independently. The interval is the percentile interval of τ, which is
    bounded and has no standard error to studentise; it is an indication with few subjects.

    Args:
        first, second: scores of one metric on each group of scans.
        resamples: number of resamples.
        seed: of the resamples.

    Raises:
        FailedError: fewer than three chains have a score on every subject of both groups.
    """
    chains = [c for c in first.values.columns if c in second.values.columns and c not in CONTROLS]
    values = [subject_losses(s, chains) for s in (first, second)]
    complete = ~np.isnan(values[0]).any(axis=0) & ~np.isnan(values[1]).any(axis=0)
    chains = [c for c, whole in zip(chains, complete, strict=True) if whole]
    if len(chains) < 3:
        raise FailedError(f"{len(chains)} chains have scores on all subjects of both groups; rankings need at least 3")
    a, b = (v[:, complete] for v in values)
    tau = float(kendall(ranks(a), ranks(b)))
    low = high = float("nan")
    if min(len(a), len(b)) > 1:
        rng = np.random.default_rng(seed)
        drawn = [ranks(v[rng.integers(0, len(v), (resamples, len(v)))]) for v in (a, b)]
        taus = kendall(*drawn)
        low, high = np.nanquantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Agreement(chains, tau, low, high, (len(a), len(b)))


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute Kendall's τ-b of many pairs of rankings at once, (…, chains) each; NaN if all chains of one are tied."""
    i, j = np.triu_indices(first.shape[-1], 1)
    a, b = (np.sign(r[..., i] - r[..., j]).astype(np.int8) for r in (first, second))
    same = np.einsum("...k,...k->...", a, b, dtype=np.int64)
    sizes = np.count_nonzero(a, axis=-1) * np.count_nonzero(b, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(same / np.sqrt(sizes))
