"""Tuning of a setting on development data: `qsmbench tune`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from qsmbench import metrics
from qsmbench.data.folders import further_orientations, present, read_json
from qsmbench.errors import FailedError, QsmbenchError, suggest
from qsmbench.run import chains
from qsmbench.run.chains import Limits, Places, Step, Use
from qsmbench.run.host import StepHost
from qsmbench.study.tuned import SOURCE_FILE, Development, Tuned


def tune(
    chain: str,
    setting: str,
    data: Sequence[Path],
    *,
    metric: str = "nrmse",
    span: float = 1000.0,
    trials: int = 12,
    limits: Limits,
    note: Callable[[str], object],
) -> Tuned:
    """Find the value of a setting that optimises the mean score of a chain over simulated scans.

    The logarithm of the setting is optimised by Brent's method. Steps before the tuned one run once.

    Args:
        chain: method names joined by dots.
        setting: METHOD.KEY, whose default is a positive number.
        data: folders written by `qsmbench simulate`.
        metric: metric to optimise.
        span: ratio of the largest to the smallest value tried; the default is in the middle.
        trials: number of values tried, including the default.
        limits: of each step.
        note: receives a line about each trial.

    Raises:
        QsmbenchError: there is no such setting or metric, a folder is not a simulated scan, or a step has no result.
    """
    name, _, key = setting.partition(".")
    steps = chains.steps(chain)
    at = next((i for i, s in enumerate(steps) if s.name == name), None)
    if at is None or key not in steps[at].method.settings:
        known = [f"{s.chain.rpartition('.')[2]}.{k}" for s in steps for k in s.method.settings]
        raise QsmbenchError(
            f"setting {setting!r}: chain {chain!r} has no such step and setting; {suggest(setting, known)}"
        )
    default = steps[at].method.settings[key]
    if isinstance(default, bool) or not isinstance(default, int | float) or default <= 0:
        raise QsmbenchError(f"setting {setting!r}: its default is {default!r}; only a positive number can be tuned")
    judge = metrics.find(metric)
    _check_data(data, chain)
    tried: dict[float, float] = {}
    with tempfile.TemporaryDirectory(prefix="qsmbench-tune-") as scratch, StepHost() as host:
        runs = [_Development(Path(scratch) / str(i), folder, steps, limits, host) for i, folder in enumerate(data)]
        for run in runs:
            run.run(steps[:at], {})

        def distance(logarithm: float) -> float:
            value = _like(default, float(np.exp(logarithm)))
            tried[value] = float(np.mean([run.score(steps[at:], {name: {key: value}}, metric) for run in runs]))
            note(f"{setting} = {value:.4g}: {metric} {tried[value]:.4g}")
            return judge.distance(tried[value])

        middle, half = np.log(default), np.log(span) / 2
        distance(middle)
        search = {"maxiter": max(trials - 1, 1), "xatol": 0.05}
        minimize_scalar(distance, bounds=(middle - half, middle + half), method="bounded", options=search)
    best = min(tried, key=lambda value: judge.distance(tried[value]))
    development = Development(
        chain=chain,
        metric=metric,
        default=next(iter(tried.values())),
        tuned=tried[best],
        data=[_origin(f) for f in data],
    )
    return Tuned(use=name, set={key: _like(default, float(f"{best:.4g}"))}, development=development)


def _like(default: float, value: float) -> float:
    """Return a value of a setting, rounded to a whole number if the default is one."""
    return max(round(value), 1) if isinstance(default, int) else value


def _check_data(data: Sequence[Path], chain: str) -> None:
    if not data:
        raise QsmbenchError(f"chain {chain!r}: no development data; name folders that `qsmbench simulate` wrote")
    for folder in data:
        if not (folder / "truth").is_dir() or "mask" not in present(folder / "scan"):
            raise QsmbenchError(f"{folder}: contains no scan and truth; name a folder that `qsmbench simulate` wrote")


def _origin(folder: Path) -> dict[str, Any]:
    file = folder / "truth" / SOURCE_FILE
    return read_json(file) if file.is_file() else {"phantom": str(folder), "protocol": "unknown", "seed": None}


class _Development:
    """One scan on which the chain is run repeatedly."""

    def __init__(self, work: Path, folder: Path, steps: Sequence[Step], limits: Limits, host: StepHost) -> None:
        self.places = Places(work, folder / "scan", folder / "truth")
        self.last, self.limits, self.host = steps[-1], limits, host
        self.turned = chains.over_orientations(steps)
        self.further = further_orientations(self.places.scan)

    def run(self, steps: Sequence[Step], settings: Mapping[str, Mapping[str, Any]]) -> None:
        for s in steps:
            chosen = replace(s, use=Use(s.use.method, settings.get(s.name, {})))
            spec = chosen.spec(self.places, self.limits, orientations=self.further, each=s.chain in self.turned)
            record = self.host.run(spec)
            if not record.ok:
                raise FailedError(f"{s.chain}: {record.status}: {record.reason}")

    def score(self, steps: Sequence[Step], settings: Mapping[str, Mapping[str, Any]], metric: str) -> float:
        """Run the steps, and return the metric over the whole mask."""
        from qsmbench.study.scoring import Scan

        self.run(steps, settings)
        spec = chains.score_spec(self.last, self.places, "")
        artifact = self.last.artifacts[0]
        scan = Scan(spec)
        given = scan.reconstruction(spec, artifact)
        rows = metrics.Reference(**scan.reference(artifact)).rows(**given, metrics=[metric], supports=("study",))
        values = [row["value"] for row in rows if row["region"] == ""]
        if not values or not np.isfinite(values[0]):
            raise FailedError(f"{spec.chain}: has no {metric}; it gives {artifact}")
        return float(values[0])
