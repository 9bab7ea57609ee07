"""A mixed view over scenarios: the difference of two chains as a linear mixed model."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbench.analysis.intervals import LEVEL, Interval
from qsmbench.analysis.intervals import SUBJECTS as COVERS_SUBJECTS
from qsmbench.analysis.losses import losses, use_ratio
from qsmbench.analysis.subjects import Sample
from qsmbench.errors import FailedError


@dataclass(frozen=True)
class Mixed:
    """A linear mixed model of the difference of two chains.

    Attributes:
        ratio: whether the effects are ratios (a over b) instead of differences of losses.
        overall: mean over the conditions, each with the same weight.
        conditions: effect in each condition.
        subject: standard deviation between subjects, of the difference or of the log ratio.
        scan: standard deviation between the scans of one subject, beyond the noise of the seeds.
        noise: standard deviation between seeds.
    """

    ratio: bool
    overall: Interval
    conditions: dict[str, Interval]
    subject: float
    scan: float
    noise: float


def mixed(sample: Sample, a: str, b: str) -> Mixed:
    """Fit the difference of two chains with a mean for each condition, and random effects of subject and scan.

    Restricted maximum likelihood; intervals are Student's t with the number of subjects − 1 degrees of freedom, since
    the normal ones are too narrow for few subjects.

    Args:
        sample: scores of one metric.
        a, b: the chains.

    Raises:
        FailedError: fewer than three subjects have both chains, or the fit fails.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    x, y = (sample.values[c].to_numpy(float) for c in (a, b))
    both = ~np.isnan(x) & ~np.isnan(y)
    s = sample.where(both)
    if s.n_subjects < 3:
        raise FailedError(f"{s.n_subjects} subjects have both {a} and {b}; a mixed model needs at least 3")
    ratio = use_ratio(s.column, x[both], y[both])
    d = losses(x[both], s.column, ratio=ratio) - losses(y[both], s.column, ratio=ratio)
    names = s.conditions
    fixed = (s.condition[:, None] == np.array(names, object)).astype(float)
    has_seeds = np.unique(s.group).size < s.group.size
    several = has_seeds and np.unique(s.group).size > s.n_subjects
    spec = VCSpec(["scan"], [[]], [[]]) if several else None
    if spec is not None:
        for subject in np.unique(s.subject):
            groups = s.group[s.subject == subject]
            spec.mats[0].append((groups[:, None] == np.unique(groups)).astype(float))
            spec.colnames[0].append([str(g) for g in np.unique(groups)])
    scale = float(d.std()) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero, on the boundary, is a result
        try:
            random = np.ones((d.size, 1))
            fit: Any = MixedLM(d / scale, fixed, s.subject, exog_re=random, exog_vc=spec).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError) as e:
            raise FailedError(f"the mixed model of {a} and {b} has no solution ({e})") from e
    effects, covariance = np.asarray(fit.fe_params) * scale, np.asarray(fit.cov_params())[: len(names), : len(names)]
    covariance = covariance * scale**2
    share = np.full(len(names), 1 / len(names))

    def interval(weights: np.ndarray) -> Interval:
        return _interval(weights, effects, covariance, s.n_subjects, d.size, ratio=ratio)

    return Mixed(
        ratio=ratio,
        overall=interval(share),
        conditions={name: interval(row) for name, row in zip(names, np.eye(len(names)), strict=True)},
        subject=scale * math.sqrt(max(float(np.asarray(fit.cov_re)[0, 0]), 0.0)),
        scan=scale * math.sqrt(max(float(fit.vcomp[0]), 0.0)) if several else 0.0,
        noise=scale * math.sqrt(float(fit.scale)),
    )


def _interval(
    weights: np.ndarray, effects: np.ndarray, covariance: np.ndarray, subjects: int, scans: int, *, ratio: bool
) -> Interval:
    from scipy import special

    mean = float(weights @ effects)
    reach = float(special.stdtrit(subjects - 1, (1 + LEVEL) / 2)) * math.sqrt(float(weights @ covariance @ weights))
    found = Interval(mean, mean - reach, mean + reach, subjects, scans, COVERS_SUBJECTS, degrees=subjects - 1)
    return found.exp() if ratio else found
