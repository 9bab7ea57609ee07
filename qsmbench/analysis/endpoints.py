"""Endpoints of scenarios: what a clinical question comes down to, over the scans of a study.

All functions are pure: they take the tidy table of scores, facts about its scans and the tables of sources. Each value
has an interval over subjects, since scans of one subject are not independent. `docs/endpoints.md` has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from qsmbench.analysis.intervals import LEVEL, mean_interval, t_interval
from qsmbench.data.endpoints import METRIC_OF, OF_A_SCAN, OF_GROUPS, OVER_SCANS
from qsmbench.data.score_table import source_index
from qsmbench.data.source_table import PlacedSource
from qsmbench.errors import QsmbenchError, suggest
from qsmbench.units import blood_chi

if TYPE_CHECKING:
    import pandas as pd

EDGES = (0.0, 1.5, 2.5, 4.0, 6.0, 10.0, math.inf)
"""Edges of the classes of diameters, mm."""

POWER = 0.8
"""Power at which the smallest shift is found."""

FALSE_RIMS = 0.05
"""Share of lesions without a rim that may seem to have one."""

HCT = 0.42
"""Haematocrit of the blood whose saturation is computed; assumed."""

TRUTH = "truth"
"""The chain that stands for the true map."""

Statistic = Callable[[np.ndarray, np.ndarray], tuple[float, float, float]]
"""Of patients and controls: its value and the ends of its interval."""


@dataclass(frozen=True)
class Value:
    """An endpoint of one chain.

    Attributes:
        endpoint: its name.
        chain: the chain.
        artifact: the scored artifact.
        region: that it is about; empty for the whole scan.
        case: of the scenario, or a class of diameters in it; empty for all.
        value: of the endpoint; NaN if it cannot be computed.
        low, high: ends of its interval; NaN if there is none.
        n: number of subjects.
        unit: of the value.
        note: why there is no value or no interval, or what it is about.
    """

    endpoint: str
    chain: str
    artifact: str
    region: str
    case: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Scan:
    """What is known about a scan.

    Attributes:
        subject: number or name of the subject.
        case: of the scenario.
        group: of replicates that differ in their noise.
        age: years; NaN if unknown.
        sources: the table of its sources.
    """

    subject: str
    case: str
    group: str
    age: float = math.nan
    sources: tuple[PlacedSource, ...] = ()


@dataclass(frozen=True)
class Trial:
    """The scans of one scenario and condition.

    Attributes:
        scores: tidy table with the columns dataset, chain, artifact, metric, region, support, value, unit.
        scans: by dataset.
        regions: in which the endpoints are computed.
        controls: cases that the others are compared with.
    """

    scores: pd.DataFrame
    scans: Mapping[str, Scan]
    regions: tuple[str, ...]
    controls: tuple[str, ...]

    @property
    def cases(self) -> list[str]:
        """The cases, in the order of the scans."""
        return list(dict.fromkeys(scan.case for scan in self.scans.values()))

    @cached_property
    def rows(self) -> dict[tuple[str, str, str], dict[tuple[str, str], float]]:
        """(metric, artifact, chain) → (dataset, region) → value on the study mask."""
        mine = self.scores[self.scores["support"].isin(["study"]) & self.scores["dataset"].isin(list(self.scans))]
        found: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
        columns = ("metric", "artifact", "chain", "dataset", "region", "value")
        for metric, artifact, chain, dataset, region, value in zip(*(mine[c] for c in columns), strict=True):
            found.setdefault((str(metric), str(artifact), str(chain)), {})[str(dataset), str(region)] = float(value)
        return found

    @cached_property
    def units(self) -> dict[tuple[str, str], str]:
        """(metric, artifact) → unit."""
        columns = self.scores[["metric", "artifact", "unit"]].drop_duplicates(["metric", "artifact"])
        return {(str(m), str(a)): str(u) for m, a, u in columns.itertuples(index=False)}

    def of(self, metric: str, artifact: str, chain: str) -> dict[tuple[str, str], float]:
        """Return the finite values of a metric, by dataset and region."""
        found = self.rows.get((metric, artifact, chain), {})
        return {key: value for key, value in found.items() if math.isfinite(value)}

    def chains(self, metric: str) -> list[tuple[str, str]]:
        """Return the artifacts and chains that have a metric."""
        return [(artifact, chain) for m, artifact, chain in self.rows if m == metric]

    def means(self, artifact: str, chain: str, region: str, metric: str = "mean") -> dict[str, dict[str, float]]:
        """Return a metric in a region, averaged over the scans of each subject: case → subject → value."""
        values: dict[str, dict[str, dict[str, list[float]]]] = {}
        for (dataset, where), value in self.of(metric, artifact, chain).items():
            scan = self.scans[dataset]
            if where == region:
                values.setdefault(scan.case, {}).setdefault(scan.subject, {}).setdefault(scan.group, []).append(value)
        return {
            case: {s: float(np.mean([np.mean(v) for v in groups.values()])) for s, groups in subjects.items()}
            for case, subjects in values.items()
        }

    def lesions(self, metric: str, artifact: str, chain: str) -> Iterator[tuple[str, PlacedSource, float]]:
        """Yield the dataset, the source and the value of each score of a source; NaN where it has none."""
        for (dataset, region), value in self.rows.get((metric, artifact, chain), {}).items():
            index = source_index(region)
            source = next((s for s in self.scans[dataset].sources if s.index == index), None)
            if source is not None:
                yield dataset, source, value


def endpoint(trial: Trial, name: str) -> list[Value]:
    """Compute an endpoint of every chain.

    Raises:
        QsmbenchError: there is no such endpoint.
    """
    if name in OF_A_SCAN:
        return _of_scans(trial, name)
    if name not in FUNCTIONS:
        raise QsmbenchError(f"endpoint {name!r} is unknown; {suggest(name, [*OF_A_SCAN, *OVER_SCANS])}")
    found = []
    for artifact, chain in trial.chains(METRIC_OF.get(name, "mean")):
        unit = OVER_SCANS[name].unit
        unit = trial.units.get(("mean", artifact), "") if unit is None else unit
        unit = f"{unit}/year" if name == "age_slope" else unit
        made = FUNCTIONS[name](trial, artifact, chain)
        found += [replace(value, endpoint=name, artifact=artifact, chain=chain, unit=unit) for value in made]
    return found


def with_truth(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with the true regional means as those of the chain `truth`, if it was not scored itself.

    The true mean is the mean minus the bias of any chain.
    """
    import pandas as pd

    if TRUTH in set(scores["chain"]):
        return scores
    about = ["dataset", "artifact", "support", "region"]
    known = scores[scores["value"].notna() & (scores["region"] != "")]
    means, bias = known[known["metric"] == "mean"], known[known["metric"] == "bias"]
    both = means.merge(bias[[*about, "chain", "value"]], on=[*about, "chain"], suffixes=("", "_bias"))
    both = both.assign(value=both["value"] - both["value_bias"], chain=TRUTH).drop_duplicates(about)
    return pd.concat([both[list(scores.columns)].astype({"chain": str}), scores], ignore_index=True)


def _of_scans(trial: Trial, metric: str) -> list[Value]:
    """Return the mean of a metric over the scans of each case: by region, over all lesions, or of the whole scan."""
    found = []
    for artifact, chain in trial.chains(metric):
        unit = trial.units.get((metric, artifact), "")
        values: dict[tuple[str, str], dict[str, list[float]]] = {}
        for (dataset, region), value in trial.of(metric, artifact, chain).items():
            where = _lesion_name(trial, dataset, region) if source_index(region) is not None else region
            wanted = not region or not trial.regions or metric in OF_GROUPS or where in trial.regions
            if where is not None and wanted:
                values.setdefault((trial.scans[dataset].case, where), {}).setdefault(dataset, []).append(value)
        for (case, where), by_scan in values.items():
            made = _over_subjects(trial, {dataset: float(np.mean(v)) for dataset, v in by_scan.items()})
            found.append(
                replace(made, endpoint=metric, artifact=artifact, chain=chain, unit=unit, region=where, case=case)
            )
    return found


def _lesion_name(trial: Trial, dataset: str, region: str) -> str | None:
    source = next((s for s in trial.scans[dataset].sources if s.index == source_index(region)), None)
    return None if source is None else source.name or source.region


def _over_subjects(trial: Trial, by_scan: Mapping[str, float], **more: str) -> Value:
    """Return the mean over subjects of one value per scan, with its interval."""
    scans = [trial.scans[d] for d in by_scan]
    subjects, groups = _codes([s.subject for s in scans]), _codes([s.group for s in scans])
    interval = mean_interval(np.array(list(by_scan.values())), groups, subjects)
    note = {"noise": "interval over the noise alone: one subject", "nothing": "one scan: no interval"}
    text = note.get(interval.covers, "")
    return _value(interval.estimate, interval.low, interval.high, interval.n, note=text, **more)


def _codes(names: Sequence[str]) -> np.ndarray:
    return np.unique(np.array(names, object).astype(str), return_inverse=True)[1]


def _value(value: float, low: float, high: float, n: int, *, region: str = "", case: str = "", note: str = "") -> Value:
    return Value("", "", "", region, case, float(value), float(low), float(high), n, "", note)


def _nothing(note: str, n: int = 0, *, region: str = "", case: str = "") -> Value:
    return _value(math.nan, math.nan, math.nan, n, region=region, case=case, note=note)


def _pairs(
    trial: Trial, artifact: str, chain: str, metric: str = "mean"
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield region, case, and the subject means of the case and of its controls."""
    for region in trial.regions if metric == "mean" else ("",):
        means = trial.means(artifact, chain, region, metric)
        for case in trial.cases:
            if case in trial.controls or case not in means:
                continue
            for control in trial.controls:
                if control in means:
                    name = case if len(trial.controls) == 1 else f"{case} against {control}"
                    patients, healthy = (np.array(list(means[c].values())) for c in (case, control))
                    yield region, name, patients, healthy


def hedges(patients: np.ndarray, controls: np.ndarray) -> tuple[float, float, float]:
    """Compute Hedges' g of two groups and its interval (Hedges 1981, doi:10.3102/10769986006002107).

    The interval is g ± t·SE with the large-sample standard error √((m + n)/mn + g²/2(m + n)).

    Args:
        patients: (m,) with m ≥ 2.
        controls: (n,) with n ≥ 2.

    Returns:
        g, low, high; infinite without spread.
    """
    m, n = patients.size, controls.size
    degrees = m + n - 2
    pooled = math.sqrt(((m - 1) * patients.var(ddof=1) + (n - 1) * controls.var(ddof=1)) / degrees)
    shift = float(patients.mean() - controls.mean())
    if pooled == 0:
        d = math.copysign(math.inf, shift) if shift else 0.0
        return d, d, d
    g = shift / pooled * (1 - 3 / (4 * degrees - 1))
    error = math.sqrt((m + n) / (m * n) + g**2 / (2 * (m + n)))
    reach = float(special.stdtrit(degrees, (1 + LEVEL) / 2)) * error
    return g, g - reach, g + reach


def auc_interval(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """Compute the area under the ROC curve and its interval.

    The interval has the values θ from which the area lies at most z standard errors away, the error being that of θ
    (Newcombe 2006, doi:10.1002/sim.2324, method 5), so that it is not empty at 0 and 1.

    Args:
        positive: (m,).
        negative: (n,).

    Returns:
        area, low, high.
    """
    m, n = positive.size, negative.size
    above = positive[:, None] - negative
    area = float((np.sign(above) + 1).mean() / 2)
    z = float(special.ndtri((1 + LEVEL) / 2))
    more = (m + n) / 2 - 1

    def error(theta: float) -> float:
        spread = 1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return math.sqrt(max(theta * (1 - theta) * spread / (m * n), 0))

    def end(sign: int) -> float:
        edge = 0.0 if sign < 0 else 1.0
        if area == edge:
            return edge
        return float(optimize.brentq(lambda t: abs(area - t) - z * error(t), area + sign * 1e-12, edge))

    return area, end(-1), end(1)


def group_shift(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute Hedges' g of each regional mean between a case and its controls, over subjects."""
    return _between_groups(trial, artifact, chain, hedges)


def group_auc(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the area under the ROC curve of each regional mean for a case against its controls, over subjects."""
    return _between_groups(trial, artifact, chain, auc_interval)


def side_auc(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the area under the ROC curve of the OEF left − right for a case against its controls, over subjects."""
    return _between_groups(trial, artifact, chain, auc_interval, "oef_asymmetry")


def _between_groups(trial: Trial, artifact: str, chain: str, statistic: Statistic, metric: str = "mean") -> list[Value]:
    """Compute a statistic of each regional mean, or of a metric of the scan, in a case and its controls."""
    found = []
    for region, case, patients, controls in _pairs(trial, artifact, chain, metric):
        n = min(patients.size, controls.size)
        if n < 2:
            found.append(_nothing("needs two subjects in each group", n, region=region, case=case))
            continue
        found.append(_value(*statistic(patients, controls), n, region=region, case=case))
    return found


def smallest_shift(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the smallest difference of two groups that as many subjects would show with a power of 80 %.

    (t₁₋α/₂ + t_power)·s·√(1/m + 1/n), with s the pooled standard deviation between subjects; its interval is that of s
    (χ² distribution).
    """
    found = []
    for region, case, patients, controls in _pairs(trial, artifact, chain):
        m, n = patients.size, controls.size
        degrees = m + n - 2
        if min(m, n) < 2:
            found.append(_nothing("needs two subjects in each group", min(m, n), region=region, case=case))
            continue
        pooled = math.sqrt(((m - 1) * patients.var(ddof=1) + (n - 1) * controls.var(ddof=1)) / degrees)
        factor = float(special.stdtrit(degrees, (1 + LEVEL) / 2) + special.stdtrit(degrees, POWER))
        size = factor * pooled * math.sqrt(1 / m + 1 / n)
        low, high = (math.sqrt(degrees / special.chdtri(degrees, (1 + s * LEVEL) / 2)) for s in (-1, 1))
        found.append(_value(size, size * low, size * high, min(m, n), region=region, case=case))
    return found


def slope_interval(x: np.ndarray, y: np.ndarray, subject: np.ndarray) -> tuple[float, float, float]:
    """Compute the slope of y against x and its interval over subjects.

    If at least two subjects have several x, it is the mean of their slopes with Student's t interval. Otherwise it is
    that of the regression line through all points.

    Args:
        x, y, subject: (n,).

    Returns:
        slope, low, high; NaN if there are too few points.
    """
    own = [np.polyfit(x[s], y[s], 1)[0] for i in np.unique(subject) if np.ptp(x[s := subject == i]) > 0]
    if len(own) > 1:
        return (float(np.mean(own)), *t_interval(np.array(own)))
    if x.size < 2 or np.ptp(x) == 0:
        return math.nan, math.nan, math.nan
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    if x.size < 3:
        return slope, math.nan, math.nan
    rest = y - y.mean() - slope * dx
    error = math.sqrt(float(rest @ rest) / (x.size - 2) / float(dx @ dx))
    reach = float(special.stdtrit(x.size - 2, (1 + LEVEL) / 2)) * error
    return slope, slope - reach, slope + reach


def age_slope(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the slope of each regional mean against age."""
    found = []
    ages = {(scan.subject, scan.case): scan.age for scan in trial.scans.values()}
    for region in trial.regions:
        means = trial.means(artifact, chain, region)
        points = [(ages[s, case], v, s) for case, of in means.items() for s, v in of.items()]
        points = [p for p in points if math.isfinite(p[0])]
        if not points:
            found.append(_nothing("no age is known", region=region))
            continue
        x, y = (np.array(v, float) for v in list(zip(*points, strict=True))[:2])
        subjects = _codes([p[2] for p in points])
        note = "" if np.unique(subjects).size > 1 else "one subject: the interval is that of the line"
        found.append(_value(*slope_interval(x, y, subjects), np.unique(subjects).size, region=region, note=note))
    return found


def _changes(trial: Trial, artifact: str, chain: str, region: str) -> list[tuple[str, str, float, float]]:
    """Return case, subject, and true and measured change against the same subject's control, which has none."""
    control = trial.controls[0] if trial.controls else ""
    true, made = (trial.means(artifact, c, region) for c in (TRUTH, chain))
    found = []
    for case, of in made.items():
        for subject, value in of.items():
            known = [means.get(c, {}).get(subject) for means in (true, made) for c in (case, control)]
            if None not in known:
                dose, change = known[0] - known[1], value - known[3]  # type: ignore[operator]
                found.append((case, subject, dose, change))
    return found


def dose_slope(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the slope of the measured against the true change of each regional mean; 1 is the whole of it.

    A change is that of a subject against the same subject's control.
    """
    found = []
    for region in trial.regions:
        points = _changes(trial, artifact, chain, region)
        if len({p[0] for p in points}) < 2:
            found.append(_nothing("needs a control and a case with another dose of each subject", region=region))
            continue
        x, y = (np.array([p[i] for p in points]) for i in (2, 3))
        subjects = _codes([p[1] for p in points])
        n = np.unique(subjects).size
        note = "" if n > 1 else "one subject: the interval is that of the line"
        found.append(_value(*slope_interval(x, y, subjects), n, region=region, note=note))
    return found


def smallest_dose(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the smallest true change of a regional mean that is told from none.

    It is that of the case from which on, up to the largest dose, the interval of the measured change over subjects
    excludes zero.
    """
    found = []
    for region in trial.regions:
        doses: dict[str, list[float]] = {}
        changes: dict[str, list[float]] = {}
        for case, _, dose, change in _changes(trial, artifact, chain, region):
            if case not in trial.controls:
                doses.setdefault(case, []).append(dose)
                changes.setdefault(case, []).append(change)
        n = min((len(v) for v in changes.values()), default=0)
        if n < 2:
            found.append(_nothing("needs two subjects with a control each", n, region=region))
            continue
        size = {case: float(np.mean(v)) for case, v in doses.items()}
        told = math.nan
        for case in sorted(size, key=lambda c: abs(size[c]), reverse=True):
            low, high = t_interval(np.array(changes[case]))
            if low <= 0 <= high:
                break
            told = size[case]
        note = "" if math.isfinite(told) else "the largest dose is not told from none"
        found.append(_value(told, math.nan, math.nan, n, region=region, note=note))
    return found


def saturation_change(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the change of the oxygen saturation in regions of blood against the control, −Δχ over χ of all oxygen.

    It is that of the same subject's control, so that neither the zero of the maps nor χ of the plasma matters. That of
    the chain `truth` is the true one. χ of all oxygen is that of blood without oxygen minus that with all of it, see
    `units.blood_chi`, at the haematocrit `HCT`.
    """
    all_oxygen = blood_chi(HCT, 0) - blood_chi(HCT, 1)
    found: list[Value] = []
    if artifact != "chi":
        return found
    for region in trial.regions:
        changes: dict[str, list[float]] = {}
        for case, _, _, change in _changes(trial, artifact, chain, region):
            if case not in trial.controls:
                changes.setdefault(case, []).append(-100 * change / all_oxygen)
        for case, values in changes.items():
            points = np.array(values)
            low, high = t_interval(points) if points.size > 1 else (math.nan, math.nan)
            note = "" if points.size > 1 else "one subject: no interval"
            found.append(_value(points.mean(), low, high, points.size, region=region, case=case, note=note))
    return found


def region_contrast(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the difference of the means of each two regions, over that of the true means."""
    found = []
    true, made = trial.of("mean", artifact, TRUTH), trial.of("mean", artifact, chain)
    for a, b in combinations(trial.regions, 2):
        by_scan = {}
        for dataset in trial.scans:
            values = [v.get((dataset, r)) for v in (made, true) for r in (a, b)]
            if None not in values and values[2] != values[3]:
                by_scan[dataset] = (values[0] - values[1]) / (values[2] - values[3])  # type: ignore[operator]
        if by_scan:
            found.append(_over_subjects(trial, by_scan, region=f"{a} − {b}"))
    return found


def size_class(diameter: float) -> str:
    """Return the class of a diameter [mm] as text."""
    low, high = next((a, b) for a, b in pairwise(EDGES) if a <= diameter < b)
    if low == 0:
        return f"< {high:g} mm"
    return f"≥ {low:g} mm" if math.isinf(high) else f"{low:g}–{high:g} mm"


def _by_size(
    trial: Trial,
    artifact: str,
    chain: str,
    metric: str,
    reduce: Callable[[list[tuple[PlacedSource, float]]], float | None],
) -> list[Value]:
    """Reduce the lesions of each scan in each class of diameters to a number, and average it over subjects."""
    lesions: dict[tuple[str, float], dict[str, list[tuple[PlacedSource, float]]]] = {}
    for dataset, source, value in trial.lesions(metric, artifact, chain):
        low = max(e for e in EDGES if e <= source.diameter)
        lesions.setdefault((trial.scans[dataset].case, low), {}).setdefault(dataset, []).append((source, value))
    found: list[Value] = []
    for case, low in sorted(lesions, key=lambda key: (trial.cases.index(key[0]), key[1])):
        by_scan = {d: reduce(its) for d, its in lesions[case, low].items()}
        known = {d: v for d, v in by_scan.items() if v is not None}
        count = sum(len(its) for its in lesions[case, low].values())
        where = f"{case}, {size_class(low)}"
        if known:
            made = _over_subjects(trial, known, case=where)
            found.append(replace(made, note="; ".join(t for t in (f"{count} lesions", made.note) if t)))
        else:
            found.append(_nothing(f"{count} lesions, but not what is needed", case=where))
    return found


def sign_accuracy_by_size(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the share of lesions whose contrast has the sign of their total χ; those without a value are wrong."""

    def share(lesions: list[tuple[PlacedSource, float]]) -> float | None:
        right = [s.sign * v > 0 for s, v in lesions if s.sign]
        return 100 * float(np.mean(right)) if right else None

    return _by_size(trial, artifact, chain, "lesion_contrast", share)


def sign_auc_by_size(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the area under the ROC curve of the contrast for para- against diamagnetic lesions."""

    def area(lesions: list[tuple[PlacedSource, float]]) -> float | None:
        known = [(s.sign, v if math.isfinite(v) else 0.0) for s, v in lesions]
        up, down = (np.array([v for sign, v in known if sign == wanted]) for wanted in (1, -1))
        return auc_interval(up, down)[0] if up.size and down.size else None

    return _by_size(trial, artifact, chain, "lesion_contrast", area)


def _mean_of(metric: str, factor: float = 1.0) -> Callable[[Trial, str, str], list[Value]]:
    def mean(lesions: list[tuple[PlacedSource, float]]) -> float | None:
        known = [v for _, v in lesions if math.isfinite(v)]
        return factor * float(np.mean(known)) if known else None

    def by_size(trial: Trial, artifact: str, chain: str) -> list[Value]:
        return _by_size(trial, artifact, chain, metric, mean)

    return by_size


def _rims(trial: Trial, artifact: str, chain: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the contrast of the rims of lesions with a rim, and without, by subject."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for dataset, source, value in trial.lesions("rim_contrast", artifact, chain):
        scan = trial.scans[dataset]
        has = any(s.part_of == source.index for s in scan.sources)
        found.setdefault(scan.subject, ([], []))[0 if has else 1].append(value if math.isfinite(value) else 0.0)
    return {s: (np.array(a), np.array(b)) for s, (a, b) in found.items()}


def _by_subject(values: Mapping[str, float], note: str) -> list[Value]:
    if not values:
        return [_nothing("needs lesions with a rim and lesions without, such as those of two cases")]
    numbers = np.array(list(values.values()))
    if numbers.size == 1:
        return [_value(numbers[0], math.nan, math.nan, 1, note=f"{note}; one subject: no interval")]
    return [_value(numbers.mean(), *t_interval(numbers), numbers.size, note=note)]


def rim_auc(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the area under the ROC curve of `rim_contrast` for lesions with a rim against those without."""
    rims = _rims(trial, artifact, chain)
    values = {s: auc_interval(a, b)[0] for s, (a, b) in rims.items() if a.size and b.size}
    return _by_subject(values, _counted(rims))


def rim_sensitivity(trial: Trial, artifact: str, chain: str) -> list[Value]:
    """Compute the share of rims whose contrast exceeds that of all but 5 % of the lesions without one."""
    rims, values = _rims(trial, artifact, chain), {}
    for subject, (with_rim, without) in rims.items():
        if with_rim.size and without.size:
            allowed = int(FALSE_RIMS * without.size)
            threshold = np.sort(without)[::-1][allowed]
            values[subject] = 100 * float(np.mean(with_rim > threshold))
    return _by_subject(values, _counted(rims))


def _counted(rims: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    return (
        f"{sum(a.size for a, _ in rims.values())} lesions with a rim, {sum(b.size for _, b in rims.values())} without"
    )


FUNCTIONS: dict[str, Callable[[Trial, str, str], list[Value]]] = {
    "group_shift": group_shift,
    "group_auc": group_auc,
    "smallest_shift": smallest_shift,
    "age_slope": age_slope,
    "dose_slope": dose_slope,
    "smallest_dose": smallest_dose,
    "saturation_change": saturation_change,
    "region_contrast": region_contrast,
    "sign_accuracy_by_size": sign_accuracy_by_size,
    "sign_auc_by_size": sign_auc_by_size,
    "sensitivity_by_size": _mean_of("lesion_detected", 100.0),
    "chi_error_by_size": _mean_of("lesion_chi_error"),
    "volume_ratio_by_size": _mean_of("lesion_volume_ratio"),
    "rim_auc": rim_auc,
    "rim_sensitivity": rim_sensitivity,
    "side_auc": side_auc,
}
"""The endpoints over scans, by name; `data/endpoints.py` says what they mean."""
