"""What the jobs of a study need: memory, time and processors, from recorded costs and the number of voxels."""

from __future__ import annotations

import math
from functools import cached_property

from qsmbench.errors import QsmbenchError
from qsmbench.scan.memory import memory_there
from qsmbench.study.datasets import Measured, Simulated
from qsmbench.study.estimate import BASE_MEMORY, Cost, cost_of, known_costs, millions_of_voxels
from qsmbench.study.plan import Plan

SLACK_MEMORY, SLACK_TIME = 2.0, 5.0
"""Factors between recorded costs and what is asked for; assumed. Machines and settings differ."""

LEAST_MEMORY, LEAST_MINUTES = 1000, 5
"""What is asked for at least [MiB, min]: libraries, from a file system that is slow at first; assumed."""

VOLUMES = 50
"""Memory of a job without a record of it, in float32 volumes: a scan of eight echoes, read and copied; assumed."""


class Needs:
    """The needs of the jobs of a study. Those of a second attempt are twice those of the first, and so on.

    Args:
        plan: of the study.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[str, float] = {}

    def _millions(self, group: str) -> float:
        """Millions of voxels; 1 for a scan that cannot be read, since its job says why."""
        if group not in self._known:
            try:
                self._known[group] = millions_of_voxels(self._sources[group])
            except QsmbenchError:
                self._known[group] = 1.0
        return self._known[group]

    @cached_property
    def _sources(self) -> dict[str, Simulated | Measured]:
        return {d.group: d.source for d in self._plan.datasets.values()}

    @cached_property
    def _costs(self) -> dict[str, Cost]:
        return known_costs(self._plan)

    @cached_property
    def _of_scan(self) -> list[Cost]:
        """Costs of all jobs of a scan, for a million voxels."""
        costs, plan = self._costs, self._plan
        rest = [costs[kind] for kind in ("score", "common", "pictures") for _ in plan.study.chains]
        return [costs["noise"], *rest, *(cost_of(s.use.method, costs)[0] for s in plan.steps.values())]

    def simulation_memory(self, group: str, attempt: int = 1) -> int:
        """Return the memory of the simulation of a group, MiB."""
        orientations = len(self._plan.orientations[group])
        return _memory(self._costs["simulate"].memory * self._millions(group) * orientations, attempt)

    def simulation_minutes(self, group: str, attempt: int = 1) -> int:
        """Return the time of the simulation of a group, min."""
        scans = len(self._plan.orientations[group]) * self._plan.positions(group)
        return _minutes(self._costs["simulate"].seconds * self._millions(group) * scans, attempt)

    def simulation_threads(self, group: str, cores: int) -> int:
        """Return the number of processors of the simulation of a group, on a machine with `cores` of them.

        Parts of a simulation run on one processor. So several at once, on a share of the processors each, take less
        time than one after the other on all: as many as are left to make, and no more than fit into memory.
        """
        fitting = max(int(memory_there() // self.simulation_memory(group)), 1)
        return max(cores // max(self._left, 1), math.ceil(cores / fitting))

    @cached_property
    def _left(self) -> int:
        """Number of simulations that have no record yet."""
        records = (self._plan.folder / self._plan.simulation(group) for group in self._plan.groups)
        return sum(not record.is_file() for record in records)

    def scan_memory(self, dataset: str, cores: int, attempt: int = 1) -> int:
        """Return the memory of the jobs of a dataset that may run at once, MiB."""
        millions = self._millions(self._plan.datasets[dataset].group)
        least = VOLUMES * 4e6 / 2**20
        largest = sorted((max(c.memory, least) for c in self._of_scan), reverse=True)[:cores]
        return _memory(sum(BASE_MEMORY + memory * millions for memory in largest), attempt)

    def scan_minutes(self, dataset: str, cores: int, attempt: int = 1) -> int:
        """Return the time of all jobs of a dataset, min: of those that run at once, and of the longest."""
        millions = self._millions(self._plan.datasets[dataset].group)
        seconds = [c.seconds * millions for c in self._of_scan]
        return _minutes(sum(seconds) / cores + max(seconds), attempt)


def _memory(used: float, attempt: int) -> int:
    return math.ceil(LEAST_MEMORY + SLACK_MEMORY * used) * 2 ** (attempt - 1)


def _minutes(seconds: float, attempt: int) -> int:
    return (LEAST_MINUTES + math.ceil(SLACK_TIME * seconds / 60)) * 2 ** (attempt - 1)
