"""Verdicts: pure functions of numbers, one for each kind of decision rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsmbench.analysis.endpoints import auc_interval, hedges, slope_interval
from qsmbench.analysis.intervals import LEVEL, t_interval

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"

FEWEST = 3
"""Fewest subjects, of each group, from which a verdict is given."""

POWER_FACTOR = 2.8
"""Sum of the normal quantiles of a two-sided level of 5 % and a power of 80 %."""

RESAMPLES = 2000
"""Resamples of the difference of two areas."""


@dataclass(frozen=True)
class Part:
    """The outcome of one decision rule.

    Attributes:
        verdict: `SUPPORTED`, `CONTRADICTED` or `UNDECIDED`.
        effect: the estimate; NaN if there is none.
        low, high: ends of its 95 % interval; NaN if there is none.
        n: number of subjects, of the smaller group.
        margin: values that support the claim.
        quantity: what the effect is.
        unit: of the effect.
        label: which comparison it is.
        note: why it is undecided, and how many subjects would decide it.
    """

    verdict: str
    effect: float
    low: float
    high: float
    n: int
    margin: tuple[float, float]
    quantity: str
    unit: str = ""
    label: str = ""
    note: str = ""


def nothing(note: str, n: int = 0, quantity: str = "", margin: tuple[float, float] = (-math.inf, math.inf)) -> Part:
    """Return an undecided part without a number."""
    return Part(UNDECIDED, math.nan, math.nan, math.nan, n, margin, quantity, note=note)


def tolerance(values: np.ndarray, inside: tuple[float | None, float | None], quantity: str = "mean") -> Part:
    """Decide whether a mean over subjects lies inside a margin.

    Args:
        values: one per subject, (n,).
        inside: lowest and highest accepted mean; None: any.
        quantity: what the mean is.
    """
    margin = _margin(inside)
    known = values[np.isfinite(values)]
    if known.size < FEWEST:
        return _few(known, quantity, margin)
    low, high = t_interval(known)
    part = Part(UNDECIDED, float(known.mean()), low, high, known.size, margin, quantity)
    return _within(part, _distance(part.effect, margin), float(known.std(ddof=1)))


def better(differences: np.ndarray, margin: float = 0.0, quantity: str = "difference") -> Part:
    """Decide whether a paired difference is above zero; inside the margin on both sides, there is none.

    Args:
        differences: a − b of each subject, (n,).
        margin: largest difference that counts as none.
        quantity: what the difference is.
    """
    known = differences[np.isfinite(differences)]
    if known.size < FEWEST:
        return _few(known, quantity, (0.0, math.inf))
    low, high = t_interval(known)
    part = Part(UNDECIDED, float(known.mean()), low, high, known.size, (0.0, math.inf), quantity)
    return replace(part, verdict=_sided(low, high, margin), note=_subjects_note(part, float(known.std(ddof=1)), margin))


def groups(patients: np.ndarray, controls: np.ndarray, published: float | None = None) -> Part:
    """Decide whether patients are above controls, by at least half of the published standardised difference.

    Supported: the lower end of the area under the ROC curve is above 0.5, and Hedges' g at least half the published.
    Contradicted: the upper end of g is below half the published; without a published one, below zero.

    Args:
        patients, controls: one value per subject, (m,) and (n,).
        published: standardised difference.
    """
    half = 0.0 if published is None else published / 2
    a, b = patients[np.isfinite(patients)], controls[np.isfinite(controls)]
    n = min(a.size, b.size)
    if n < FEWEST:
        return nothing(f"{n} subjects in a group; {FEWEST} are needed", n, "g", (half, math.inf))
    g, low, high = hedges(a, b)
    area = auc_interval(a, b)
    verdict = UNDECIDED
    if area[1] > 0.5 and g >= half:
        verdict = SUPPORTED
    elif high < half:
        verdict = CONTRADICTED
    note = f"AUC {area[0]:.2f} ({area[1]:.2f} to {area[2]:.2f})"
    if verdict == UNDECIDED and 0 < abs(g) < math.inf:
        note += f"; {_count(2 * (POWER_FACTOR / g) ** 2)} subjects per group would show g with a power of 80 %"
    return Part(verdict, g, low, high, n, (half, math.inf), "g", note=note)


def better_groups(
    a: tuple[str, str],
    b: tuple[str, str],
    first: Mapping[str, Mapping[str, float]],
    second: Mapping[str, Mapping[str, float]],
    margin: float,
    seed: int = 0,
) -> Part:
    """Decide whether one quantity separates patients from controls better than another.

    The interval of the difference of areas is the percentile bootstrap over subjects; a subject that has both
    quantities is drawn for both.

    Args:
        a, b: patients' and controls' group of each quantity.
        first, second: group → subject → value of each quantity.
        margin: largest difference of areas that counts as none.
        seed: of the resamples.
    """
    quantity = "difference of AUC"
    people: dict[str, list[str]] = {}
    for names, values in ((a, first), (b, second)):
        for group in names:
            known = [s for s, v in values.get(group, {}).items() if math.isfinite(v)]
            people[group] = [s for s in people.get(group, known) if s in known]
    n = min(map(len, people.values()))
    if n < FEWEST:
        return nothing(f"{n} subjects in a group; {FEWEST} are needed", n, quantity, (0.0, math.inf))

    def difference(drawn: Mapping[str, Sequence[str]]) -> float:
        areas = [
            auc(
                np.array([values[names[0]][s] for s in drawn[names[0]]]), [values[names[1]][s] for s in drawn[names[1]]]
            )
            for names, values in ((a, first), (b, second))
        ]
        return areas[0] - areas[1]

    rng = np.random.default_rng(seed)
    drawn = [
        difference({g: [its[i] for i in rng.integers(0, len(its), len(its))] for g, its in people.items()})
        for _ in range(RESAMPLES)
    ]
    low, high = (float(q) for q in np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    effect = difference(people)
    part = Part(_sided(low, high, margin), effect, low, high, n, (0.0, math.inf), quantity)
    if low == high:  # both areas are 1, or 0, in every resample: the people are too few, or too far apart
        return replace(part, verdict=UNDECIDED, note="both separate all subjects: more, or more alike, would be needed")
    return replace(part, note=_subjects_note(part, float(np.std(drawn)) * math.sqrt(n), margin))


def slope(x: np.ndarray, y: np.ndarray, subject: np.ndarray, inside: tuple[float | None, float | None]) -> Part:
    """Decide whether the slope of y against x lies inside a margin.

    Args:
        x, y, subject: of each point, (n,).
        inside: lowest and highest accepted slope; None: any.
    """
    margin = _margin(inside)
    known = np.isfinite(x) & np.isfinite(y)
    n = np.unique(subject[known]).size
    if n < FEWEST or np.ptp(x[known]) == 0:
        return nothing(f"{n} subjects; {FEWEST} are needed", n, "slope", margin)
    value, low, high = slope_interval(x[known], y[known], subject[known])
    return _within(Part(UNDECIDED, value, low, high, n, margin, "slope"), math.nan, math.nan)


def auc(positive: np.ndarray, negative: Sequence[float]) -> float:
    """Compute the probability that one of the first values exceeds one of the second; ties count half."""
    above = np.sign(np.asarray(positive, float)[:, None] - np.asarray(negative, float))
    return float((above + 1).mean() / 2)


def combined(parts: Sequence[Part]) -> str:
    """Return the verdict of a claim: supported if all parts are, contradicted if one is, else undecided."""
    verdicts = [p.verdict for p in parts]
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts and set(verdicts) == {SUPPORTED} else UNDECIDED


def after_variants(verdict: str, others: Sequence[str]) -> str:
    """Return the verdict, or undecided if an assumed input at an end of its range gives another one."""
    return verdict if all(v == verdict for v in others) else UNDECIDED


def _margin(inside: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = inside
    return -math.inf if low is None else low, math.inf if high is None else high


def _few(known: np.ndarray, quantity: str, margin: tuple[float, float]) -> Part:
    note = f"{known.size} subjects have a value; {FEWEST} are needed"
    effect = float(known.mean()) if known.size else math.nan
    return replace(nothing(note, known.size, quantity, margin), effect=effect)


def _within(part: Part, distance: float, spread: float) -> Part:
    low, high = part.margin
    if low <= part.low and part.high <= high:
        return replace(part, verdict=SUPPORTED)
    if part.high < low or part.low > high:
        return replace(part, verdict=CONTRADICTED)
    if 0 < distance < math.inf and spread > 0:
        return replace(part, note=f"about {_count((POWER_FACTOR * spread / distance) ** 2)} subjects would decide it")
    return part


def _sided(low: float, high: float, margin: float) -> str:
    if low > 0 and high > margin:
        return SUPPORTED
    return CONTRADICTED if high < 0 or (-margin <= low and high <= margin) else UNDECIDED


def _subjects_note(part: Part, spread: float, margin: float) -> str:
    if _sided(part.low, part.high, margin) != UNDECIDED or not (part.effect and spread):
        return ""
    return f"about {_count((POWER_FACTOR * spread / part.effect) ** 2)} subjects would show this difference"


def _distance(value: float, margin: tuple[float, float]) -> float:
    return min(abs(value - end) for end in margin)


def _count(number: float) -> str:
    return f"{math.ceil(number)}" if number < 1e4 else "more than 10 000"
