"""What a study will take: time, disk and memory, from recorded durations, before anything runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from qsmbench.data.folders import read_params
from qsmbench.data.measured import measured_files
from qsmbench.data.volumes import open_grid
from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.run.specs import RUN_FILE, read_record
from qsmbench.study.datasets import Measured, Simulated
from qsmbench.study.plan import Plan

DURATIONS = Path("configs") / "durations.csv"
"""Recorded costs of every job for a million voxels, written by `benchmarks/durations.py` on one core."""

BASE_MEMORY = 100.0
"""Memory of a process that has only imported the libraries [MiB]: that of the step `zero`."""

OVERHEAD = 0.1
"""Time of a job that computes nothing [s]."""

_MIB, _MILLION = 2**20, 1e6
_RECORDS = {"simulation.json": "simulate", "scan.json": "noise", "common.json": "common", "pictures.json": "pictures"}
_FOLDERS = {"noise": ("scan",), "simulate": ("noisefree", "truth"), "pictures": ("pictures", "volumes")}


class Cost(NamedTuple):
    """Cost of a job: seconds, and MiB of memory beyond `BASE_MEMORY` and of disk; each for a million voxels."""

    seconds: float
    memory: float
    disk: float


@dataclass
class Estimate:
    """What a study consists of, and what it will take.

    Attributes:
        counts: simulations, scans, steps, scores, and all jobs.
        done: number of jobs with a record of success.
        seconds: duration of all jobs with `cores` processors, whether or not they are done.
        disk: MiB.
        memory: peak over the jobs that may run at once, MiB.
        guessed: methods without a recorded duration; the mean of all steps is taken.
    """

    counts: dict[str, int]
    done: int
    seconds: float
    disk: float
    memory: float
    guessed: list[str] = field(default_factory=list)


def estimate(plan: Plan, cores: int) -> Estimate:
    """Estimate a study.

    Costs come from the records in the study's own folder, otherwise from `DURATIONS`, and are proportional to the
    number of voxels. Other machines and settings differ, so that it is an order of magnitude.

    Args:
        plan: of the study.
        cores: number of processors.
    """
    costs = known_costs(plan)
    of_step = {s.name: cost_of(s.use.method, costs) for s in plan.steps.values()}
    sources = {d.group: d.source for d in plan.datasets.values()}
    size = {group: millions_of_voxels(source) for group, source in sources.items()}
    jobs: list[tuple[Cost, float]] = []
    for group in plan.groups:
        simulate = costs["simulate"]
        simulate = simulate._replace(seconds=simulate.seconds * plan.positions(group))
        jobs.append((simulate, size[group] * len(plan.orientations[group])))
    for d in plan.datasets.values():
        jobs.append((costs["noise"], size[d.group] * len(plan.orientations[d.group])))
        jobs += [(of_step[s.name][0], size[d.group]) for s in plan.steps.values()]
        jobs += [(costs[kind], size[d.group]) for kind in ("score", "common", "pictures") for _ in plan.study.chains]
    count = len(plan.datasets) * (len(plan.steps) + len(plan.study.chains) + 3) + len(plan.groups) + 2
    memory = sorted((BASE_MEMORY + c.memory * voxels for c, voxels in jobs), reverse=True)
    longest = max((c.seconds * voxels for c, voxels in jobs), default=0.0)
    total = sum(c.seconds * voxels for c, voxels in jobs) + OVERHEAD * count
    return Estimate(
        counts={
            "simulations": len(plan.groups),
            "scans": len(plan.datasets),
            "steps": len(plan.datasets) * len(plan.steps),
            "scores": len(plan.datasets) * len(plan.study.chains),
            "jobs": count,
        },
        done=sum(record is not None and record.ok for record in plan.records().values()),
        seconds=max(total / cores, longest),
        disk=sum(c.disk * voxels for c, voxels in jobs),
        memory=sum(memory[:cores]),
        guessed=[name for name, (_, known) in of_step.items() if not known],
    )


def known_costs(plan: Plan) -> dict[str, Cost]:
    """Return the costs recorded in the study's own folder, otherwise those of `DURATIONS`; steps as `step METHOD`."""
    return {**committed_costs(), **(recorded(plan.folder) if plan.folder.is_dir() else {})}


def millions_of_voxels(source: Simulated | Measured) -> float:
    """Return the number of voxels of a scan, in millions.

    Raises:
        QsmbenchError: the scan cannot be read.
    """
    if isinstance(source, Measured):
        files = measured_files(source.bids, source.subject, source.session)
        volume = next((f for f in files if f.name.endswith((".nii", ".nii.gz"))), None)
        if volume is None:
            raise QsmbenchError(f"{source.bids}: holds no gradient-echo scan that can be read")
        nx, ny, nz = open_grid(volume)[0][:3]
        return int(nx * ny * nz) / _MILLION
    return source.outline.voxels / _MILLION


def cost_of(method: str, costs: dict[str, Cost]) -> tuple[Cost, bool]:
    """Return the cost of a method, and whether it is known.

    Unless it is recorded, it is that of the method that it wraps, or the mean of all steps, which is a guess.

    Args:
        method: name, or path of a file.
        costs: see `known_costs`.
    """
    base = method
    while "+" in base and f"step {base}" not in costs:
        base = base.rpartition("+")[0]
    if f"step {base}" in costs:
        return costs[f"step {base}"], True
    steps = [c for k, c in costs.items() if k.startswith("step ")]
    return Cost(*(sum(values) / len(steps) for values in zip(*steps, strict=True))), False


@cache
def committed_costs() -> dict[str, Cost]:
    """Return the costs in `DURATIONS`; steps as `step METHOD`.

    Raises:
        QsmbenchError: the table cannot be read.
    """
    path = data_dir() / DURATIONS
    try:
        with path.open() as file:
            return {r["job"]: Cost(*(float(r[f]) for f in Cost._fields)) for r in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as e:
        raise QsmbenchError(f"{path}: cannot be read ({e})") from e


def recorded(folder: Path) -> dict[str, Cost]:
    """Return the mean cost of each kind of job of a study that has run; steps as `step METHOD`.

    Args:
        folder: of the study.
    """
    found: dict[str, list[Cost]] = {}
    for scan in folder.glob("*/scan/params.json"):
        voxels = math.prod(read_params(scan.parent).grid.shape) / _MILLION
        for name, cost in _of_scan(scan.parents[1], voxels):
            found.setdefault(name, []).append(cost)
    return {k: Cost(*(sum(v) / len(its) for v in zip(*its, strict=True))) for k, its in found.items()}


def _of_scan(dataset: Path, voxels: float) -> Iterator[tuple[str, Cost]]:
    group = dataset.with_name(dataset.name.rpartition("_seed-")[0] or dataset.name)
    chains = max(sum(1 for _ in dataset.glob("scores/*.json")), 1)
    for place, name in _RECORDS.items():
        home = group if name == "simulate" else dataset
        record = read_record(home / place)
        if record is not None and record.ok and record.seconds is not None:
            per = chains if name in ("common", "pictures") else 1  # for each chain
            disk = sum(map(_size, (home / f for f in _FOLDERS.get(name, ()))))
            yield name, Cost(record.seconds / per / voxels, 0.0, disk / per / voxels)
    for file in dataset.glob("scores/*.json"):
        record = read_record(file)
        if record is not None and record.ok and record.seconds is not None:
            yield "score", Cost(record.seconds / voxels, 0.0, 0.0)
    for file in (dataset / "chains").glob(f"*/{RUN_FILE}"):
        record = read_record(file)
        if record is not None and record.ok and record.seconds is not None:
            seconds = float(record.details.get("wall") or record.seconds)
            memory = max((record.peak_memory or BASE_MEMORY) - BASE_MEMORY, 0.0)
            cost = Cost(seconds / voxels, memory / voxels, _size(file.parent) / voxels)
            yield f"step {record.details['method']}", cost


def _size(folder: Path) -> float:
    """Return the size of all files below a folder, MiB."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / _MIB
