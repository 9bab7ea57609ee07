"""Chains: methods joined by dots. `romeo.fit.vsharp.tkd` is composed, `truth.tkd` isolated (uses the true field)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qsmbench.data.artifacts import ARTIFACTS, SCAN_ARTIFACTS, TRUE_ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.method import PARAMETERS, Container, Method
from qsmbench.ops.arrays.device import split_device
from qsmbench.run import registry
from qsmbench.run.settings import check_settings
from qsmbench.run.specs import ScoreSpec, StepSpec, prefixes

TRUTH = "truth"
"""The control that gives its chain access to the truth."""

FED = {
    "true_mask": ("mask",),
    "true_total_field": ("total_field",),
    "true_local_field": ("local_field",),
    "true_veins": ("vein",),
    "noisy": ("signal_fat_fraction",),
}
"""What controls read of the truth, anywhere in a chain; they read nothing else of it unless `truth` came before."""

SCAN, TRUTH_FOLDER = "<scan>", "<truth>"
"""Providers of artifacts other than the steps of a chain; method names cannot contain these characters."""

ORIENTATION_ARTIFACTS = ("local_field", "mask", "magnitude")
"""Artifacts of each orientation for a method that takes `orientations`."""


@dataclass(frozen=True)
class Use:
    """A method as used in a study: its origin and its settings."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "set"
    """Origin of the settings: set by hand, or a file from `qsmbench tune`."""


@dataclass(frozen=True)
class Limits:
    """Limits and environment of each step of a chain.

    Attributes:
        time_limit: s.
        memory_limit: MiB, or None.
        container: where others' code runs; see `registry.find`.
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
    """The last step of a (part of a) chain, such as `vsharp` of `romeo.fit.vsharp`.

    Attributes:
        chain: names of the methods up to this one.
        method: the method to run.
        use: how the study uses it.
        providers: for each artifact available at this step, its provider: `scan`, `truth`, or the chain whose last step
            produced it.
    """

    chain: str
    method: Method
    use: Use
    providers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        """The chain before this step."""
        return self.chain.rpartition(".")[0] or None

    @property
    def name(self) -> str:
        """The name of the method in the chain."""
        return self.chain.rpartition(".")[2]

    @property
    def artifacts(self) -> list[str]:
        """The artifacts to score: the first product of the last step, and its other maps with a known truth.

        The first one is drawn.
        """
        first, *rest = self.method.produces or ("",)
        rest = [name for name in rest if ARTIFACTS[name].truth != "never" and not ARTIFACTS[name].in_scan]
        return [first, *rest] if first else []

    @property
    def provided(self) -> dict[str, str]:
        """Provider of each artifact after the step."""
        return {**self.providers, **dict.fromkeys(self.method.produces, self.chain)}

    @property
    def inputs(self) -> dict[str, str]:
        """Provider of each available input of the method."""
        wanted = list(self.method.consumes)
        if "orientations" in wanted:
            wanted += ORIENTATION_ARTIFACTS
        return {name: self.providers[name] for name in dict.fromkeys(wanted) if name in self.providers}

    def spec(self, places: Places, limits: Limits, *, orientations: Sequence[str], each: bool) -> StepSpec:
        """Return the step as `run.step.run` takes it.

        Args:
            places: locations of the scan, the truth and the products of steps.
            limits: of the step.
            orientations: folders of the further orientations of the scan.
            each: whether it runs on every orientation, since a later step takes them all.
        """
        return StepSpec(
            chain=self.chain,
            method=self.use.method,
            settings=dict(self.use.settings),
            inputs={n: str(places.of(p)) for n, p in self.inputs.items() if places.has(p, n)},
            scan=str(places.scan),
            out=str(places.of(self.chain)),
            orientations=list(orientations),
            each_orientation=each,
            broken=self.method.broken,
            own_code=self._is_own,
            hidden=[str(folder) for folder in places.hidden],
            **asdict(limits),
        )

    @property
    def _is_own(self) -> bool:
        """Whether the method, and each method named by its settings, belongs to this package."""
        return all(map(registry.is_own, [self.use.method, *registry.named_in(self.use.settings)]))


@dataclass(frozen=True)
class Places:
    """Locations of the artifacts of a chain.

    Attributes:
        chains: folder with a subfolder for each step.
        scan: folder of the scan.
        truth: folder of the truth, or None.
        absent: missing artifacts of scan or truth, as pairs of provider and artifact.
        hidden: folders with results and truths, which third-party code must not see.
    """

    chains: Path
    scan: Path
    truth: Path | None
    absent: frozenset[tuple[str, str]] = frozenset()
    hidden: tuple[Path, ...] = ()

    def has(self, provider: str, artifact: str) -> bool:
        """Whether a provider has an artifact; steps have all of their products."""
        there = provider != TRUTH_FOLDER or self.truth is not None
        return there and (provider, artifact) not in self.absent

    def of(self, provider: str) -> Path:
        """Return the folder of a provider."""
        if provider == TRUTH_FOLDER and self.truth is not None:
            return self.truth
        return self.scan if provider == SCAN else self.chains / provider


Resolve = Callable[[str], Use]
Describe = Callable[[str], Method]


def steps(chain: str, resolve: Resolve = Use, *, describe: Describe = registry.describe) -> list[Step]:
    """Return the steps of a chain, and check that the inputs of each are available.

    A method that cannot be loaded is also a step (`Method.broken` is the reason); the steps after it are not checked.

    Args:
        chain: method names joined by dots.
        resolve: returns the Use of a name (by default the method of that name with its default settings).
        describe: returns the method that a Use names.

    Raises:
        QsmbenchError: a method is unknown, does not know a setting, or lacks an artifact at its place in the chain.
    """
    providers = dict.fromkeys(SCAN_ARTIFACTS, SCAN)
    found: list[Step] = []
    for prefix in prefixes(chain):
        name = prefix.rpartition(".")[2]
        if not name:
            raise QsmbenchError(f"chain {chain!r}: an empty step; a chain is method names joined by dots")
        if name == TRUTH:
            if prefix != TRUTH:
                raise QsmbenchError(f"chain {chain!r}: truth can only be the first step")
            providers = {**dict.fromkeys(TRUE_ARTIFACTS, TRUTH_FOLDER), **providers}
        use = resolve(name)
        method = describe(use.method)
        fed = dict.fromkeys(FED.get(use.method, ()), TRUTH_FOLDER)
        found.append(Step(prefix, method, use, {**providers, **fed}))
        if not any(step.method.broken for step in found):
            check_settings(name, method, use.settings)
            for other in registry.named_in(use.settings):
                describe(other)
            _check_inputs(chain, found[-1])
        providers |= dict.fromkeys(method.produces, prefix)
    return found


def check_named(chain: str, names: Iterable[str], what: str) -> None:
    """Reject names that are not steps of a chain.

    Args:
        chain: method names joined by dots.
        names: that should be steps.
        what: how the user gave them, with braces for the name; begins the error message.

    Raises:
        QsmbenchError: for the first name that is not a step.
    """
    there = chain.split(".")
    for name in names:
        if name not in there:
            raise QsmbenchError(f"{what.format(name)}: chain {chain!r} has no such step; it has {', '.join(there)}")


def _check_inputs(chain: str, step: Step) -> None:
    known = {*step.providers, *step.method.optional, *PARAMETERS}
    missing = [n for n in step.method.consumes if n not in known]
    if missing:
        raise QsmbenchError(
            f"chain {chain!r}: {step.name} needs {missing[0]}, which no earlier step produces; "
            f"available: {', '.join(sorted(step.providers))}"
        )


def over_orientations(steps: Iterable[Step]) -> set[str]:
    """Return the chains whose last step runs on every orientation, since a later step takes them all."""
    return {p for s in steps if "orientations" in s.method.consumes for p in prefixes(s.chain)[:-1]}


def score_spec(step: Step, places: Places, dataset: str) -> ScoreSpec:
    """Return the specification for scoring the result of a chain.

    Args:
        step: the last of the chain.
        places: locations of the scan, the truth and the products of steps.
        dataset: name of the scan.
    """
    providers = step.provided
    field = providers.get("local_field")
    return ScoreSpec(
        dataset=dataset,
        chain=step.chain,
        artifacts=step.artifacts,
        result=str(places.of(step.chain)),
        support=str(places.of(providers["mask"])),
        field=str(places.of(field)) if field and places.has(field, "local_field") else None,
        scan=str(places.scan),
        truth=str(places.truth) if places.truth else None,
    )
