"""Chains: methods joined by dots. `romeo.fit.vsharp.tkd` is composed, `truth.tkd` isolated (fed the true field)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qsmbench.data.artifacts import SCAN_ARTIFACTS, TRUE_ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.method import PARAMETERS, Container, Method
from qsmbench.ops.arrays.device import split_device
from qsmbench.run import registry
from qsmbench.run.settings import check_settings

TRUTH = "truth"


@dataclass(frozen=True)
class Use:
    """A method as a study uses it: where it comes from and with which settings."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "set"
    """Where the settings come from: set by hand, or a file that says what they were tuned on."""


@dataclass(frozen=True)
class Limits:
    """Within what each step of a chain runs.

    Attributes:
        time_limit: s.
        memory_limit: MiB, or None.
        container: where folders of others' code run; see `registry.find`.
        device: where portable methods compute; see `ops.arrays.array.to_device`.

    Raises:
        QsmbenchError: a limit is not positive, or there is no such device.
    """

    time_limit: float
    memory_limit: float | None = None
    container: Container = "none"
    device: str = "numpy"

    def __post_init__(self) -> None:
        for name in ("time_limit", "memory_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise QsmbenchError(f"{name} is {value:g}; it must be greater than 0")
        split_device(self.device)


@dataclass(frozen=True)
class Step:
    """The last step of a (part of a) chain, such as `vsharp` of `romeo.fit.vsharp`."""

    chain: str
    method: Method
    use: Use

    @property
    def parent(self) -> str | None:
        """The chain before this step."""
        return self.chain.rpartition(".")[0] or None

    @property
    def artifacts(self) -> list[str]:
        """What the chain is scored by: the first product of its last step, and its other maps of which a truth exists.

        The first is what is drawn.
        """
        first, *rest = self.method.produces
        return [first, *(name for name in rest if name in TRUE_ARTIFACTS)]

    def spec(
        self, chains: Path, scan: Path, truth: Path | None, limits: Limits, *, orientations: bool
    ) -> dict[str, Any]:
        """The step as `qsmbench.run.step.run` takes it.

        Args:
            chains: folder that holds a folder for each step.
            scan: folder of the scan.
            truth: folder of the truth, if there is one.
            limits: of the step.
            orientations: whether it runs on every orientation of the head that the scan has, or on the first alone.
        """
        return {
            "chain": self.chain,
            "orientations": orientations,
            "method": self.use.method,
            "settings": dict(self.use.settings),
            "origin": self.use.origin,
            "out": str(chains / self.chain),
            "inputs": [str(f) for f in folders(self.chain, chains, scan, truth)],
            "parent": str(chains / self.parent) if self.parent else None,
            **asdict(limits),
        }


Resolve = Callable[[str], Use]


def prefixes(chain: str) -> list[str]:
    """`a.b.c` → `a`, `a.b`, `a.b.c`."""
    names = chain.split(".")
    return [".".join(names[: i + 1]) for i in range(len(names))]


def steps(chain: str, resolve: Resolve = Use, *, container: Container = "none") -> list[Step]:
    """The steps of a chain, each checked to find what it consumes.

    Args:
        chain: names joined by dots.
        resolve: the Use of a name (by default the method of that name with its default settings).
        container: where folders of others' code are to run; see `registry.find`.

    Raises:
        QsmbenchError: a method is unknown, does not know a setting, or lacks an artifact at its place in the chain.
    """
    available = set(SCAN_ARTIFACTS)
    found = []
    for prefix in prefixes(chain):
        name = prefix.rpartition(".")[2]
        if not name:
            raise QsmbenchError(f"chain {chain!r}: an empty step; a chain is method names joined by dots")
        if name == TRUTH:
            if prefix != TRUTH:
                raise QsmbenchError(f"chain {chain!r}: truth can only be the first step")
            available |= set(TRUE_ARTIFACTS)
        use = resolve(name)
        method = registry.find(use.method, container=container)
        check_settings(name, method, use.settings)
        known = {*available, *method.optional, *PARAMETERS}
        missing = [n for n in method.consumes if n not in known]
        if missing:
            raise QsmbenchError(
                f"chain {chain!r}: {name} needs {missing[0]}, which no step before it produces; "
                f"available there are {', '.join(sorted(available))}"
            )
        available |= set(method.produces)
        found.append(Step(prefix, method, use))
    return found


def over_orientations(steps: Iterable[Step]) -> set[str]:
    """The chains whose last step runs on every orientation, since a step after it takes them all."""
    return {p for s in steps if "orientations" in s.method.consumes for p in prefixes(s.chain)[:-1]}


def folders(chain: str, chains: Path, scan: Path, truth: Path | None) -> list[Path]:
    """Where a step of `chain` looks for its artifacts: the steps before it, the nearest first, then the scan.

    The truth comes last, and only for chains that begin with it.
    """
    found = [chains / prefix for prefix in reversed(prefixes(chain)[:-1])]
    found.append(scan)
    if chain.split(".")[0] == TRUTH and truth is not None:
        found.append(truth)
    return found
