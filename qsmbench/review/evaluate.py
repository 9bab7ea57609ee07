"""Decision rules applied to a tidy table of measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.review import decide
from qsmbench.review.claims import AnyRule, Better, BetterGroups, Claim, Groups, Pick, Slope, Tolerance
from qsmbench.review.decide import Part

if TYPE_CHECKING:
    import pandas as pd

TRUTH = "truth"
"""Chain whose χ is the true one."""

COLUMNS = ("arm", "subject", "scan", "chain", "artifact", "metric", "region", "diameter", "sign", "value")
"""Columns of measurements: the arm and the subject of a scan, and for lesions their diameter [mm] and sign."""


@dataclass(frozen=True)
class Outcome:
    """The verdict on a claim.

    Attributes:
        claim: the claim.
        verdict: supported, contradicted, undecided, failed (with `reason`) or not run.
        parts: of each rule, with the first chain.
        others: parts by the name of a chain or of a variant.
        flips: variants with an assumed input that give another verdict.
        reason: why there is no verdict.
    """

    claim: Claim
    verdict: str
    parts: list[Part] = field(default_factory=list)
    others: dict[str, list[Part]] = field(default_factory=dict)
    flips: list[str] = field(default_factory=list)
    reason: str = ""


FAILED, NOT_RUN = "failed", "not run"


def judge(claim: Claim, table: pd.DataFrame) -> Outcome:
    """Return the verdict on a claim from the measurements of its experiment.

    The first chain decides; the others, and variants, are shown beside it. If a variant with an assumed input at an end
    of its range gives another verdict, the claim is undecided.
    """
    parts = [p for rule in claim.rules for p in apply(rule, table, claim.chains[0])]
    verdict, others, flips = decide.combined(parts), {}, []
    for chain in claim.chains[1:]:
        others[chain] = [p for rule in claim.rules for p in apply(rule, table, chain)]
    for variant in claim.variants:
        made = [p for rule in claim.rules for p in apply(rule, table, claim.chains[0], variant.arms)]
        others[variant.what] = made
        if variant.assumed and decide.combined(made) != verdict:
            flips.append(variant.what)
    final = decide.after_variants(verdict, [decide.combined(others[what]) for what in flips])
    return Outcome(claim, final, parts, others, flips)


def apply(rule: AnyRule, table: pd.DataFrame, chain: str, arms: Mapping[str, str] | None = None) -> list[Part]:
    """Return the outcome of a rule, in each of its regions.

    Args:
        rule: the rule.
        table: with the columns `COLUMNS`.
        chain: of quantities that name none.
        arms: arms in place of those of the rule.
    """
    found = []
    for region in rule.regions or [""]:
        part = _apply(rule, table, chain, arms or {}, region)
        own = rule.unit if isinstance(rule, Tolerance | Better | Slope) else ""
        found.append(replace(part, label=", ".join(t for t in (rule.label, region) if t), unit=own))
    return found


def _apply(rule: AnyRule, table: pd.DataFrame, chain: str, arms: Mapping[str, str], region: str) -> Part:
    def get(pick: Pick, arm: str = "") -> dict[str, float]:
        arm = arm or pick.arm
        changes = {"arm": arms.get(arm, arm), "chain": pick.chain or chain, "region": pick.region or region}
        return quantity(table, pick.model_copy(update=changes))

    if isinstance(rule, Tolerance):
        values = get(rule.of)
        if rule.minus is not None:
            values = _paired(values, get(rule.minus), lambda a, b: a - b)
        if rule.over is not None:
            values = ratio(values, get(rule.over))
        what = "ratio" if rule.over else "difference" if rule.minus else "mean"
        return decide.tolerance(_array(values), rule.inside, what)
    if isinstance(rule, Better):
        size = abs if rule.absolute else float
        differences = _paired(get(rule.a), get(rule.b), lambda a, b: size(a) - size(b))
        return decide.better(_array(differences), rule.margin)
    if isinstance(rule, Groups):
        patients, controls = (rule.direction * _array(get(rule.of, arm)) for arm in (rule.patients, rule.controls))
        return decide.groups(patients, controls, rule.published)
    if isinstance(rule, BetterGroups):
        sides = [
            {arm: {s: one.direction * v for s, v in get(one.of, arm).items()} for arm in (one.patients, one.controls)}
            for one in (rule.a, rule.b)
        ]
        pairs = [(one.patients, one.controls) for one in (rule.a, rule.b)]
        return decide.better_groups(pairs[0], pairs[1], sides[0], sides[1], rule.margin)
    return _slope(rule, get)


def _slope(rule: Slope, get: Callable[[Pick, str], dict[str, float]]) -> Part:
    x, y, subject = [], [], []
    for arm, number in rule.at.items():
        of = get(rule.of, arm)
        against = None if rule.against is None else get(rule.against, arm)
        for name, value in of.items():
            x.append(number if against is None else against.get(name, math.nan))
            y.append(value)
            subject.append(name)
    return decide.slope(np.array(x, float), np.array(y, float), np.array(subject, str), rule.inside)


def quantity(table: pd.DataFrame, pick: Pick) -> dict[str, float]:
    """Return a quantity of each subject; subjects without a value are left out.

    The values of each scan are reduced first, then averaged over the scans of a subject.

    Args:
        table: with the columns `COLUMNS`.
        pick: the quantity; its chain is stated.
    """
    rows = table[
        (table["metric"] == pick.metric) & (table["artifact"] == pick.artifact) & (table["chain"] == pick.chain)
    ]
    rows = rows.astype({"value": float})
    if pick.arm:
        rows = rows[rows["arm"] == pick.arm]
    if pick.statistic == "linearity":
        return _linearity(table, rows, pick)
    if pick.statistic == "variation":
        each = [_variation(rows[rows["region"] == region]) for region in pick.regions or [pick.region]]
        return {s: float(np.mean([v[s] for v in each])) for s in each[0] if all(s in v for v in each)}
    if pick.statistic in ("contrast", "cnr"):
        return _contrast(table, rows, pick)
    if pick.region:
        rows = rows[rows["region"] == pick.region]
    if pick.diameter is not None:
        rows = rows[(rows["diameter"] >= pick.diameter[0]) & (rows["diameter"] < pick.diameter[1])]
    if pick.statistic in ("mean", "share"):
        rows = rows[np.isfinite(rows["value"])]
    by_scan = rows.groupby(["subject", "scan"], observed=True)
    return _by_subject({(str(key[0]), str(key[1])): _reduced(own, pick.statistic) for key, own in by_scan})


def _reduced(rows: pd.DataFrame, statistic: str) -> float:
    values, signs = rows["value"].to_numpy(float), rows["sign"].to_numpy(float)
    if statistic == "sign_accuracy":  # a lesion without a value is wrong
        known = signs != 0
        return 100 * float(np.mean((values * signs > 0)[known])) if known.any() else math.nan
    if statistic == "sign_auc":
        values = np.where(np.isfinite(values), values, 0.0)
        up, down = values[signs > 0], values[signs < 0]
        return decide.auc(up, list(down)) if up.size and down.size else math.nan
    return float(values.mean()) * (100 if statistic == "share" else 1)


def _contrast(table: pd.DataFrame, rows: pd.DataFrame, pick: Pick) -> dict[str, float]:
    """Return the difference of two regional means of each subject, or its ratio to the standard deviation in them."""
    means = _by_region(rows, pick)
    if pick.statistic == "contrast":
        return _by_subject({key: v[0] - v[1] for key, v in means.items()})
    same = (table["metric"] == "sd") & (table["artifact"] == pick.artifact) & (table["chain"] == pick.chain)
    spread = table[same & ((table["arm"] == pick.arm) if pick.arm else True)]
    sds = {key: math.hypot(*v) / math.sqrt(2) for key, v in _by_region(spread, pick).items()}
    found = {key: abs(v[0] - v[1]) / sds[key] for key, v in means.items() if sds.get(key)}
    return _by_subject(found)


def _linearity(table: pd.DataFrame, rows: pd.DataFrame, pick: Pick) -> dict[str, float]:
    """Return r² of the values of regions with their true χ, in each scan with at least three of the regions."""
    true = table[(table["chain"] == TRUTH) & (table["artifact"] == "chi") & (table["metric"] == "mean")]
    both = rows.merge(true, on=["subject", "scan", "region"], suffixes=("", "_true"))
    both = both[both["region"].isin(pick.regions) & np.isfinite(both["value"])]
    found = {}
    for (subject, scan), own in both.groupby(["subject", "scan"], observed=True):
        values, chi = own["value"].to_numpy(float), own["value_true"].to_numpy(float)
        if values.size >= 3 and np.ptp(values) > 0 and np.ptp(chi) > 0:
            found[str(subject), str(scan)] = float(np.corrcoef(values, chi)[0, 1] ** 2)
    return _by_subject(found)


def _by_region(rows: pd.DataFrame, pick: Pick) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the values of both regions of each scan."""
    if not pick.against:
        raise QsmbenchError(f"the {pick.statistic} of {pick.metric} needs a second region, against")
    both: dict[tuple[str, str], dict[str, float]] = {}
    for subject, scan, region, value in zip(*(rows[c] for c in ("subject", "scan", "region", "value")), strict=True):
        if region in (pick.region, pick.against) and math.isfinite(value):
            both.setdefault((str(subject), str(scan)), {})[str(region)] = float(value)
    return {key: (v[pick.region], v[pick.against]) for key, v in both.items() if len(v) == 2}


def _variation(rows: pd.DataFrame) -> dict[str, float]:
    found = {}
    for subject, own in rows[np.isfinite(rows["value"])].groupby("subject", observed=True):
        means = own.groupby("arm", observed=True)["value"].mean()
        if means.size > 1 and means.mean():
            found[str(subject)] = 100 * float(means.std(ddof=1) / abs(means.mean()))
    return found


def _by_subject(by_scan: Mapping[tuple[str, str], float]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for (subject, _), value in by_scan.items():
        if math.isfinite(value):
            values.setdefault(str(subject), []).append(value)
    return {subject: float(np.mean(its)) for subject, its in values.items()}


def ratio(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Return a / b of each subject that has both; NaN where b is 0."""
    return _paired(a, b, lambda x, y: x / y if y else math.nan)


def _paired(a: Mapping[str, float], b: Mapping[str, float], of: Callable[[float, float], float]) -> dict[str, float]:
    return {s: of(a[s], b[s]) for s in a if s in b}


def _array(values: Mapping[str, float] | Sequence[float]) -> np.ndarray:
    return np.array(list(values.values()) if isinstance(values, Mapping) else values, float)
