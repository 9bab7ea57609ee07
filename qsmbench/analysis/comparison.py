"""Paired comparisons of chains on the same scans.

Differences are averaged per subject, since scans of one subject are not independent. Positive errors are compared as
ratios, that is by differences of logarithms. A difference counts as shown if the Wilcoxon signed-rank test
(Wilcoxon 1945, doi:10.2307/3001968), adjusted by Holm's method over the stated family (Holm 1979,
https://www.jstor.org/stable/4615733), rejects at `ALPHA` and the confidence interval excludes no difference. Two chains
count as equivalent if two one-sided t tests show that they differ by less than a margin (Schuirmann 1987,
doi:10.1007/BF01068419).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import special, stats

from qsmbench.analysis.columns import Column
from qsmbench.analysis.intervals import LEVEL, NOISE, NOTHING, Interval, mean_interval
from qsmbench.analysis.losses import losses, use_ratio
from qsmbench.analysis.subjects import Sample, subject_means
from qsmbench.errors import QsmbenchError

ALPHA = 0.05
"""Level of the tests, for a whole family of comparisons."""

MARGIN = 0.05
"""Margin of equivalence of a ratio: at most 5 % more or less. Assumed."""

BETTER, WORSE, EQUIVALENT, UNDECIDED, IDENTICAL = "better", "worse", "equivalent", "undecided", "identical"
ONE_SUBJECT, NO_SCAN = "one subject", "no common scan"


@dataclass(frozen=True)
class Comparison:
    """Chain `a` against chain `b`.

    Attributes:
        a, b: the chains.
        column: the metric.
        condition: of the scans; empty for all of them.
        support: of the scores.
        ratio: whether `interval` is that of a ratio of errors, a over b, instead of the difference of losses, a − b.
        spread: standard deviation of the differences over subjects, of logarithms for a ratio; NaN for one subject.
        interval: estimate and ends; below 1 (ratio) or 0 (difference), a is better.
        effect: standardised mean difference of the pairs, Hedges' g: negative if a is better; NaN for fewer than three
            subjects.
        p: of the signed-rank test, two-sided; NaN if it cannot reach the level.
        p_adjusted: by Holm's method over the family; NaN if `p` is.
        family: number of comparisons in the family.
        needed: smallest number of subjects for which the test can reach its level in this family.
        margin: of equivalence, as a share of a ratio, or as a difference; NaN if none is stated.
        p_equivalence: of the two one-sided tests, adjusted over the family; NaN without a margin or for one subject.
        verdict: better, worse, equivalent, undecided, identical, one subject or no common scan.
    """

    a: str
    b: str
    column: Column
    condition: str
    support: str
    ratio: bool
    interval: Interval
    spread: float
    effect: float
    p: float
    p_adjusted: float
    family: int
    needed: int
    margin: float
    p_equivalence: float
    verdict: str

    def swapped(self) -> Comparison:
        """Return the comparison of b with a."""
        i = self.interval
        ends = (1 / i.estimate, 1 / i.high, 1 / i.low) if self.ratio else (-i.estimate, -i.high, -i.low)
        turned = replace(i, estimate=ends[0], low=ends[1], high=ends[2])
        verdict = {BETTER: WORSE, WORSE: BETTER}.get(self.verdict, self.verdict)
        return replace(self, a=self.b, b=self.a, interval=turned, effect=-self.effect, verdict=verdict)


def subjects_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """Return the smallest number of subjects for which a signed-rank test can reach `alpha` over Holm's family.

    The smallest two-sided p of n subjects is 2/2ⁿ, and Holm's first step requires alpha / comparisons.
    """
    return math.ceil(1 + math.log2(comparisons / alpha) - 1e-9)


def compare(sample: Sample, a: str, b: str, *, margin: float | None = None, condition: str = "") -> Comparison:
    """Compare two chains; the family is this comparison alone.

    Args:
        sample: scores of one metric, with columns `a` and `b`.
        a, b: the chains.
        margin: of equivalence; by default `MARGIN` for ratios, none for differences.
        condition: name for the result.

    Raises:
        QsmbenchError: the metric has no best value.
    """
    return compare_family(sample, [(a, b)], margin=margin, condition=condition)[0]


def all_pairs(chains: Sequence[str]) -> list[tuple[str, str]]:
    """Return all pairs of chains."""
    return list(combinations(chains, 2))


def compare_family(
    sample: Sample,
    pairs: Sequence[tuple[str, str]],
    *,
    margin: float | None = None,
    condition: str = "",
    family: int | None = None,
) -> list[Comparison]:
    """Compare pairs of chains; p values are adjusted over all of them.

    Args:
        sample: scores of one metric.
        pairs: of chains in the sample.
        margin: of equivalence; by default `MARGIN` for ratios, none for differences.
        condition: name for the results.
        family: number of comparisons in the family, if it is larger than `pairs`.

    Raises:
        QsmbenchError: the metric has no best value.
    """
    if not pairs:
        return []
    size = max(family or 0, len(pairs))
    values = {c: sample.values[c].to_numpy(float) for c in dict.fromkeys(c for pair in pairs for c in pair)}
    found = [_alone(sample, (a, b), (values[a], values[b]), margin, condition, size) for a, b in pairs]
    tests = signed_ranks([means for _, means in found], subjects_needed(size))
    alone = [replace(c, p=p) for (c, _), p in zip(found, tests, strict=True)]
    adjusted = holm(tests, size)
    equivalent = holm([c.p_equivalence for c in alone], size)
    return [
        replace(c, p_adjusted=p, p_equivalence=e, verdict=c.verdict or _verdict(c, p, e))
        for c, p, e in zip(alone, adjusted, equivalent, strict=True)
    ]


def holm(p: Sequence[float], family: int | None = None) -> list[float]:
    """Adjust p values by Holm's method; NaN counts as a member of the family and stays NaN.

    Args:
        p: of the tests.
        family: their number, if it is larger.
    """
    values = np.asarray(p, float)
    size = max(family or 0, values.size)
    order = [i for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    adjusted = np.full(values.size, np.nan)
    highest = 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, float(values[i]) * (size - step)))
        adjusted[i] = highest
    return adjusted.tolist()


def signed_ranks(differences: Sequence[np.ndarray], needed: int = 0) -> list[float]:
    """Return the two-sided p of the Wilcoxon signed-rank test of each set of independent differences.

    Zeros are dropped. The distribution is exact up to 50 differences without ties, by permutation up to 13 with ties.

    Args:
        differences: sets of differences, (n,) each.
        needed: smallest number of differences other than 0; sets with fewer have the p NaN.
    """
    nonzero = [d[d != 0] for d in differences]
    p = np.full(len(nonzero), np.nan)
    alike: dict[int, list[int]] = {}
    for i, d in enumerate(nonzero):
        if d.size < max(needed, 1):
            continue
        if np.unique(np.abs(d)).size < d.size:
            p[i] = stats.wilcoxon(d).pvalue
        else:
            alike.setdefault(d.size, []).append(i)
    for its in alike.values():
        p[its] = stats.wilcoxon(np.stack([nonzero[i] for i in its]), axis=1).pvalue
    return p.tolist()


def _alone(
    sample: Sample,
    pair: tuple[str, str],
    values: tuple[np.ndarray, np.ndarray],
    margin: float | None,
    condition: str,
    family: int,
) -> tuple[Comparison, np.ndarray]:
    """Return the comparison of a pair without its signed-rank test, and the mean difference of each subject."""
    x, y = values
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y, group, subject = x[both], y[both], sample.group[both], sample.subject[both]
    ratio = use_ratio(sample.column, x, y)
    difference = losses(x, sample.column, ratio=ratio) - losses(y, sample.column, ratio=ratio)
    interval = mean_interval(difference, group, subject)
    given = margin if margin is not None else MARGIN if ratio else math.nan
    if ratio and given >= 1:
        raise QsmbenchError(f"margin is {given:g}; for {sample.column.label} it is a share below 1, such as 0.05")
    bound = math.log1p(given) if ratio else given
    means = subject_means(difference, group, subject)[0] if difference.size else difference
    verdict = ""
    if difference.size == 0:
        verdict = NO_SCAN
    elif not difference.any():
        verdict = IDENTICAL
    elif interval.n == 1:
        verdict = ONE_SUBJECT
    alone = Comparison(
        a=pair[0],
        b=pair[1],
        column=sample.column,
        condition=condition,
        support=sample.support,
        ratio=ratio,
        interval=interval.exp() if ratio else interval,
        spread=interval.spread,
        effect=hedges(means),
        p=math.nan,
        p_adjusted=math.nan,
        family=family,
        needed=subjects_needed(family),
        margin=given,
        p_equivalence=tost(means, bound),
        verdict=verdict,
    )
    return alone, means


def hedges(differences: np.ndarray) -> float:
    """Compute Hedges' g of paired differences: mean over standard deviation, corrected for small samples.

    Hedges 1981, doi:10.3102/10769986006002107. NaN for fewer than three differences, for which the correction is 0
    or not defined, or if all are equal.
    """
    if differences.size < 3 or (spread := differences.std(ddof=1)) == 0:
        return math.nan
    return float(differences.mean() / spread * (1 - 3 / (4 * (differences.size - 1) - 1)))


def tost(differences: np.ndarray, margin: float) -> float:
    """Return the p of two one-sided t tests that the mean lies within ±margin; NaN if it is not defined."""
    if differences.size < 2 or math.isnan(margin):
        return math.nan
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(differences.size)
    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(special.stdtr(differences.size - 1, (abs(mean) - margin) / error))


def _verdict(c: Comparison, p: float, p_equivalence: float) -> str:
    none = 1.0 if c.ratio else 0.0
    if p <= ALPHA and (c.interval.high < none or c.interval.low > none):
        return BETTER if c.interval.high < none else WORSE
    return EQUIVALENT if p_equivalence <= ALPHA else UNDECIDED


# Sentences


def sentence(c: Comparison) -> str:
    """Return the verdict as a sentence with its numbers."""
    where = f" ({c.condition})" if c.condition else ""
    label = c.column.label
    if c.verdict == NO_SCAN:
        return f"{c.a} and {c.b} have no scan in common with a {label}{where}."
    if c.verdict == IDENTICAL:
        return f"{c.a} and {c.b} have the same {label} on every scan{where}: {_counted(c)}."
    if c.verdict in (BETTER, WORSE):
        said = f"{c.a} is {c.verdict} than {c.b} by {_size(c)} in {label}{where}"
        small = _within_margin(c)
        return f"{said} ({_interval(c, signed=False)}; {_evidence(c)}){small}."
    found = f"{_signed(c, c.interval.estimate)} ({_interval(c, signed=True)}; {_evidence(c)})"
    if c.verdict == EQUIVALENT:
        return f"{c.a} and {c.b} are equivalent in {label} within {_margin(c)}{where}: that of {c.a} is {found}."
    if c.verdict == ONE_SUBJECT:
        return f"On one subject{where}, {label} of {c.a} is {found} than that of {c.b}. Other subjects may differ."
    if math.isnan(c.p):
        return f"Whether {c.a} and {c.b} differ in {label}{where} cannot be tested: that of {c.a} is {found}."
    return f"No difference between {c.a} and {c.b} in {label} is shown{where}: that of {c.a} is {found}."


def _counted(c: Comparison) -> str:
    subjects = f"{c.interval.n} subject{'s' if c.interval.n != 1 else ''}"
    return f"{subjects}, {c.interval.scans} scan{'s' if c.interval.scans != 1 else ''}"


def _evidence(c: Comparison) -> str:
    parts = [_counted(c)]
    if not math.isnan(c.effect):
        parts.append(f"Hedges' g {_number(c.effect, 2)}")
    if not math.isnan(c.p):
        over = f", Holm over {c.family} comparisons" if c.family > 1 else ""
        parts.append(f"signed-rank p = {c.p_adjusted:.2g}{over}")
    elif c.verdict != ONE_SUBJECT:
        of = f"{c.family} comparisons" if c.family > 1 else "one comparison"
        parts.append(f"no test: {of} would need at least {c.needed} subjects that differ")
    return "; ".join(parts)


def _size(c: Comparison) -> str:
    return _amount(c, abs(_shown(c, c.interval.estimate)))


def _shown(c: Comparison, value: float) -> float:
    """Return an estimate or an end as it is shown: percent for ratios; negative if a is better."""
    return 100 * (value - 1) if c.ratio else value


def _amount(c: Comparison, size: float) -> str:
    unit = "%" if c.ratio else c.column.unit
    return f"{_number(size, _digits(c))}{' ' + unit if unit else ''}"


def _digits(c: Comparison) -> int:
    if c.ratio:
        return 1
    scale = max(abs(v) for v in (c.interval.estimate, c.interval.low, c.interval.high) if not math.isnan(v))
    return max(0, 2 - math.floor(math.log10(scale))) if scale > 0 else 3


def _signed(c: Comparison, value: float) -> str:
    size = _shown(c, value)
    lower, higher = ("lower", "higher") if c.column.higher_is_better is False else ("better", "worse")
    return f"{_amount(c, abs(size))} {lower if size < 0 else higher}"


def _interval(c: Comparison, *, signed: bool) -> str:
    if c.interval.covers == NOTHING:
        return "no interval"
    name = f"{100 * LEVEL:.0f} % interval"
    name += " of the noise alone" if c.interval.covers == NOISE else ""
    if signed:
        return f"{name} {_signed(c, c.interval.low)} to {_signed(c, c.interval.high)}"
    ends = sorted(abs(_shown(c, v)) for v in (c.interval.low, c.interval.high))
    return f"{name} {_number(ends[0], _digits(c))} to {_amount(c, ends[1])}"


def _margin(c: Comparison) -> str:
    return f"±{100 * c.margin:g} %" if c.ratio else f"±{c.margin:g}{' ' + c.column.unit if c.column.unit else ''}"


def _within_margin(c: Comparison) -> str:
    return f", which is less than the margin of {_margin(c)}" if c.p_equivalence <= ALPHA else ""


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")
