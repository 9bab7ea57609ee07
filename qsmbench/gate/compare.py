"""The verdict of each chain and metric against a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from qsmbench import metrics
from qsmbench.data.score_table import COSTS, NOT_SCORED, STATUS
from qsmbench.errors import ExitCode
from qsmbench.gate.baseline import OFFSET, Baseline
from qsmbench.gate.margins import Margins

if TYPE_CHECKING:
    import pandas as pd

IDENTICAL, EQUAL, CHANGED, WORSE, BETTER = "identical", "equal", "changed", "worse", "better"
ALIKE, MISSING, FAILED, INCOMPARABLE, NEW = "alike", "missing", "failed", "incomparable", "new"
SLOWER, LARGER = "slower", "larger"

VERDICTS = {
    FAILED: "the chain failed, and did not in the baseline",
    MISSING: "the baseline has a score, and the results have none",
    INCOMPARABLE: "the scan is not the one of the baseline, or a stochastic chain has too few scans",
    WORSE: "the mean loss exceeds the margin, or a scan's loss exceeds three margins",
    SLOWER: "it takes more time than the margin allows",
    LARGER: "it takes more memory than the margin allows",
    BETTER: "the mean gain exceeds the margin",
    CHANGED: "the scores differ by more than rounding, within the margin",
    ALIKE: "the scores of a stochastic chain differ by no more than its own spread explains",
    EQUAL: "the scores differ by rounding",
    IDENTICAL: "the scores are the same to the bit",
    NEW: "the baseline has no such score",
}
"""Verdicts, the most severe first."""

ANY_SCAN = 3
"""Margins that the loss on a single scan may have."""

REPEATS = 5
"""Fewest scans on which a stochastic chain is compared; it uses other random numbers on each, on both sides."""

FALSE_ALARMS = 0.01
"""Largest chance that a check calls any score of unchanged stochastic chains changed."""


@dataclass(frozen=True)
class Row:
    """The verdict on one metric of a chain.

    Attributes:
        chain, artifact, metric: what is compared.
        verdict: a key of `VERDICTS`.
        before, after: means over the scans, in `unit`.
        loss: mean change of the error, relative to the baseline; positive is worse.
        worst: largest loss of a scan, and `scan`, its dataset.
        margin: largest accepted mean loss.
        error: standard error of the loss, of a stochastic chain.
        reason: of a failure.
    """

    chain: str
    artifact: str
    metric: str
    verdict: str
    before: float = np.nan
    after: float = np.nan
    unit: str = ""
    loss: float = np.nan
    worst: float = np.nan
    scan: str = ""
    margin: float = np.nan
    error: float = np.nan
    reason: str = ""


def compare(new: Baseline, old: Baseline, margins: Margins) -> list[Row]:
    """Compare the scores of two runs of a suite.

    Args:
        new: the results.
        old: the baseline.
        margins: per metric.

    Returns:
        a row for each chain, artifact and metric of either side, the most severe verdicts first.
    """
    rows = [*_failures(new, old), *_scores(new, old, margins), *_costs(new, old, margins)]
    order = list(VERDICTS)
    return sorted(rows, key=lambda r: order.index(r.verdict))


def exit_code(rows: list[Row], fail_on: tuple[str, ...] = (WORSE,)) -> ExitCode:
    """Return the exit code of the gate.

    Args:
        rows: of `compare`.
        fail_on: `worse`, and in addition `change` and `time` (which includes memory).
    """
    found = {r.verdict for r in rows}
    if found & {FAILED, MISSING, INCOMPARABLE}:
        return ExitCode.FAILED
    if WORSE in found or ("change" in fail_on and found & {CHANGED, BETTER}):
        return ExitCode.WORSE
    return ExitCode.SLOWER if "time" in fail_on and found & {SLOWER, LARGER} else ExitCode.OK


def _failures(new: Baseline, old: Baseline) -> Iterator[Row]:
    """Rows of chains and datasets that failed, but not in the baseline."""
    before = old.failed
    for (dataset, chain), reason in new.failed.items():
        if (dataset, chain) not in before:
            yield Row(chain or "all chains", "", STATUS, FAILED, scan=dataset, reason=reason)


def _scores(new: Baseline, old: Baseline, margins: Margins) -> Iterator[Row]:
    tables = [_quality(side.scores) for side in (old, new)]
    drawing = {*old.stochastic, *new.stochastic}
    tests = sum(chain in drawing for chain, *_ in tables[0])
    failed = new.failed
    for key in dict.fromkeys([*tables[0], *tables[1]]):
        before, after = (table.get(key, {}) for table in tables)
        chain, _, metric = key
        if not before:
            yield Row(*key, NEW, after=_mean(after), unit=_unit(new, metric))
            continue
        gone = [d for d in before if d not in after and not ({(d, chain), (d, "")} & failed.keys())]
        other = [d for d in before if d in after and not new.has_same_scan(old, d)]
        if gone:
            yield Row(*key, MISSING, _mean(before), unit=_unit(old, metric), scan=gone[0])
        if other:
            yield Row(*key, INCOMPARABLE, _mean(before), _mean(after), _unit(old, metric), scan=other[0])
        shared = [d for d in before if d in after and d not in other]
        if shared:
            pairs = np.array([(before[d], after[d]) for d in shared])
            if chain in drawing:
                yield _tested(key, pairs, shared, _unit(old, metric), margins, tests)
            else:
                yield _judged(key, pairs, shared, _unit(old, metric), margins)


def _quality(scores: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, float]]:
    """The values that say how good a map is: chain, artifact, metric → dataset → value."""
    rows = scores[~scores["metric"].isin([*COSTS, STATUS, NOT_SCORED]) & scores["value"].notna()]
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for r in rows.to_dict("records"):
        if np.isfinite(_best(r["metric"])):
            found.setdefault((r["chain"], r["artifact"], r["metric"]), {})[r["dataset"]] = float(r["value"])
    return found


def _best(metric: str) -> float:
    if metric == OFFSET:
        return 0.0
    return metrics.find(metric).best if metric in metrics.names() else np.nan


def _judged(key: tuple[str, str, str], pairs: np.ndarray, datasets: list[str], unit: str, margins: Margins) -> Row:
    """The verdict on (n, 2) values before and after, of the same scans."""
    margin = margins.of(key[2])
    errors = np.abs(pairs - _best(key[2]))
    losses = (errors[:, 1] - errors[:, 0]) / np.maximum(errors[:, 0], margin.floor)
    mean, worst = float(losses.mean()), int(losses.argmax())
    if np.array_equal(pairs[:, 0], pairs[:, 1]):
        verdict = IDENTICAL
    elif np.abs(losses).max() <= margins.rounding.value:
        verdict = EQUAL
    elif mean > margin.margin or losses[worst] > ANY_SCAN * margin.margin:
        verdict = WORSE
    else:
        verdict = BETTER if mean < -margin.margin else CHANGED
    before, after = pairs.mean(axis=0)
    return Row(*key, verdict, before, after, unit, mean, float(losses[worst]), datasets[worst], margin.margin)


def _tested(
    key: tuple[str, str, str], pairs: np.ndarray, datasets: list[str], unit: str, margins: Margins, tests: int = 1
) -> Row:
    """The verdict on (n, 2) values before and after of a stochastic chain, by a paired t test over the scans.

    The loss of a scan is relative to the mean of both errors, so that without a change its sign is left to chance.
    `tests` is the number of scores that are tested, among which the chance of a false alarm is divided.
    """
    margin = margins.of(key[2])
    errors = np.abs(pairs - _best(key[2]))
    losses = (errors[:, 1] - errors[:, 0]) / np.maximum(errors.mean(axis=1), margin.floor)
    n, mean, worst = len(losses), float(losses.mean()), int(losses.argmax())
    before, after = pairs.mean(axis=0)
    row = Row(*key, ALIKE, before, after, unit, mean, float(losses[worst]), datasets[worst], margin.margin)
    if n < REPEATS:
        why = f"it is stochastic, and has {n} scan{'s' if n > 1 else ''}; at least {REPEATS} are needed"
        return replace(row, verdict=INCOMPARABLE, reason=why)
    error = float(losses.std(ddof=1)) / np.sqrt(n)
    reach = float(special.stdtrit(n - 1, 1 - FALSE_ALARMS / 2 / tests)) * error
    verdict = ALIKE
    if abs(mean) > max(reach, margins.rounding.value):
        verdict = WORSE if mean > margin.margin else BETTER if mean < -margin.margin else CHANGED
    return replace(row, verdict=verdict, error=error)


def _costs(new: Baseline, old: Baseline, margins: Margins) -> Iterator[Row]:
    """Time in units of the calibration operation, and memory, summed over the scans of a chain."""
    for metric, verdict in (("time", SLOWER), ("peak_memory", LARGER)):
        margin = margins.of(metric)
        before, after = (_cost(side, metric) for side in (old, new))
        for chain in dict.fromkeys(c for _, c in before if c in {c for _, c in after}):
            shared = [k for k in before if k[1] == chain and k in after]
            if not shared:
                continue
            sums = [sum(side[k] for k in shared) for side in (before, after)]
            least = margin.floor * len(shared)
            loss = (sums[1] - sums[0]) / max(sums[0], least)
            unit = "units" if metric == "time" and old.units and new.units else _unit(old, metric)
            found = verdict if loss > margin.margin else CHANGED
            then, now = (total / len(shared) for total in sums)
            yield Row(chain, "", metric, found, then, now, unit, loss, loss, shared[0][0], margin.margin)


def _cost(side: Baseline, metric: str) -> dict[tuple[str, str], float]:
    rows = side.scores[(side.scores["metric"] == metric) & side.scores["value"].notna()]
    scale = side.units if metric == "time" else {}
    return {
        (r["dataset"], r["chain"]): float(r["value"]) / scale.get(f"{r['dataset']} {r['chain']}", 1.0)
        for r in rows.to_dict("records")
    }


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values()))) if values else np.nan


def _unit(side: Baseline, metric: str) -> str:
    return next(iter(side.scores.loc[side.scores["metric"] == metric, "unit"]), "")
