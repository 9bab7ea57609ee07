"""A study's configuration: one YAML → datasets × chains. Unknown keys are rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from qsmbench import metrics
from qsmbench.errors import QsmbenchError, suggest
from qsmbench.method import Container
from qsmbench.run import chains, registry
from qsmbench.run.chains import Limits, Step, Use
from qsmbench.study import stages
from qsmbench.study.datasets import Dataset, Measured, Name, Simulated
from qsmbench.study.factors import crossed
from qsmbench.study.tuned import check_apart, read_tuned
from qsmbench.typed_yaml import Model, check, check_finite, numbers, read_yaml

RESERVED = ("logs", "report", "against")
"""Folders of a study that are not datasets."""

StepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$", max_length=100)]

LONGEST = 200
"""Bytes of the name of a chain or a dataset: both are names of files, which have at most 255 with what is added."""


MOST_CHAINS = 100_000
"""Chains that a mapping of steps may stand for; assumed: more take hours to plan alone."""


def _repeated(names: list[str]) -> str | None:
    """Return the first name that has been there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_lengths(names: list[str]) -> None:
    long = [name for name in names if len(name.encode()) > LONGEST]
    if long:
        raise ValueError(f"{long[0][:40]!r}… has {len(long[0].encode())} bytes; a name may have {LONGEST}")


class Variant(Model):
    """Definition of a name in the chains: another method, a file, or other settings."""

    use: str | None = Field(
        None,
        description="name of a method, or path of its Python file, of a folder with an algorithm.yml, or of the YAML "
        "of a network; by default the name itself",
    )
    tuned: Path | None = Field(
        None, description="YAML file written by `qsmbench tune`, which gives the method and its settings"
    )
    set: dict[str, Any] = Field({}, description="settings of the method to override")


class Study(Model):
    """A study: its datasets and chains."""

    study: Name = Field(description="name of the study; it is written to results/<study>")
    description: str = Field("", description="one line, shown in the report")
    datasets: list[Dataset] = Field(min_length=1)
    chains: list[str] = Field(
        min_length=1,
        description="method names joined by dots; truth.tkd is applied to the true field. A mapping of step to methods "
        "(the list or one of its items) stands for all combinations",
    )
    attribution: list[str] = Field(
        [], description="chains whose error is divided among their stages, by further chains that are fed true maps"
    )
    score: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="weights of metrics for a ranking by a weighted score, such as {nrmse: 2, xsim: 1}; {}: none"
    )
    methods: dict[StepName, Variant] = Field({}, description="variants of methods, by the name used in the chains")
    time_limit: Annotated[float, Field(gt=0)] = Field(600, description="limit for each step of a chain, s")
    memory_limit: Annotated[float, Field(gt=0)] | None = Field(
        None, description="limit for each step of a chain, MiB; null: none"
    )
    container: Container = Field(
        "none",
        description="where third-party code runs: on this machine, isolated on this machine, or in its container",
    )
    device: str = Field("numpy", description="where methods that support it compute: numpy, cupy, torch, torch:cuda …")
    results: Path = Field(Path("results"), description="folder in which each study has a folder")

    @field_validator("chains", mode="before")
    @classmethod
    def _combinations(cls, chains: Any) -> Any:
        items = chains if isinstance(chains, list) else [chains] if isinstance(chains, dict) else chains
        if not isinstance(items, list):
            return items
        return [name for item in items for name in (_combined(item) if isinstance(item, dict) else [item])]

    @field_validator("chains")
    @classmethod
    def _unique(cls, names: list[str]) -> list[str]:
        twice = _repeated(names)
        if twice is not None:
            raise ValueError(f"{twice!r} is listed twice")
        _check_lengths(names)
        return names

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, given: list[Simulated | Measured]) -> list[Simulated | Measured]:
        datasets = [d for one in given for d in _expanded(one)]
        groups = [d.group for d in datasets]
        strange = [g for g in groups if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+_.-]*", g)]
        if strange:
            raise ValueError(f"a dataset would be called {strange[0]!r}; give it a name of letters, digits, + and -")
        names = [f"{d.group}_seed-{s}" for d in datasets if isinstance(d, Simulated) for s in d.seeds]
        names += [d.group for d in datasets if isinstance(d, Measured)]
        _check_lengths(names)
        twice, double = _repeated(groups), _repeated(names)
        if double is not None and twice is None:
            raise ValueError(f"two scans are called {double!r}; give one a name, or each its own seed")
        taken = [g for g in groups if g in RESERVED]
        if taken:
            raise ValueError(f"a dataset is called {taken[0]!r}, which is a reserved folder name; give it another name")
        if twice is not None:
            raise ValueError(f"two datasets are called {twice!r}; give one of them a name")
        return given

    @cached_property
    def sources(self) -> list[Simulated | Measured]:
        """The datasets, with one for each combination of crossed keys, and for each of several subjects."""
        return [source for given in self.datasets for source in _expanded(given)]

    def resolve(self, name: str) -> Use:
        """Return the method and settings behind a name in a chain."""
        variant = self.methods.get(name, Variant())
        if variant.tuned is None:
            return Use(variant.use or name, variant.set)
        tuned = read_tuned(variant.tuned)
        return Use(
            variant.use or tuned.use, {**tuned.set, **variant.set}, origin=f"tuned: {variant.tuned}, {tuned.summary}"
        )

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps of all chains, by the chain up to the step."""
        return {s.chain: s for chain in self.chains for s in self.steps_of(chain)}

    def steps_of(self, chain: str) -> list[Step]:
        """Return the steps of a chain; see `chains.steps`."""
        return chains.steps(chain, self.resolve, describe=partial(registry.describe, container=self.container))

    @property
    def limits(self) -> Limits:
        """Limits of each step."""
        return Limits(self.time_limit, self.memory_limit, self.container, self.device)

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return self.results / self.study


def _expanded(given: Simulated | Measured) -> list[Simulated | Measured]:
    """Return a dataset for each combination of crossed keys, or for each of several subjects."""
    return [*given.each()] if isinstance(given, Measured) else crossed(given)


def _finite(content: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        content = numbers(content)
        check_finite(content)
    except ValueError as e:
        raise QsmbenchError(f"{where}: {e}") from e
    return content


def _combined(steps: dict[Any, Any]) -> list[str]:
    """Return the chains of all combinations of the methods of each step; null leaves a step out."""
    choices = [methods if isinstance(methods, list) else [methods] for methods in steps.values()]
    for step, methods in zip(steps, choices, strict=True):
        wrong = [m for m in methods if m is not None and not isinstance(m, str)]
        if wrong or not methods:
            raise ValueError(f"{step} is {wrong[0] if wrong else methods!r}; it must be a method or a list of methods")
    count = prod(len(methods) for methods in choices)
    if count > MOST_CHAINS:
        raise ValueError(f"stands for {count} chains; a mapping may stand for {MOST_CHAINS}")
    names = [".".join(m for m in chosen if m) for chosen in product(*choices)]
    if not all(names):
        raise ValueError("a combination has no step; remove a null")
    return list(dict.fromkeys(names))


def parse(content: dict[str, Any], where: str) -> Study:
    """Build a study from its mapping, and check every phantom, protocol and chain.

    Raises:
        QsmbenchError: an unknown key, an invalid value, or a chain with incompatible steps; begins with `where`.
    """
    study = check(_finite(content, where), Study, where)
    try:
        further = [c for name in study.attribution for c in stages.chains_for(study.steps_of(name))]
        added = [c for c in dict.fromkeys([*study.attribution, *further]) if c not in study.chains]
        study = study.model_copy(update={"chains": [*study.chains, *added]})
        unknown = [m for m in study.score if m not in metrics.names()]
        if unknown:
            raise QsmbenchError(f"score.{unknown[0]}: is not a metric; {suggest(unknown[0], metrics.names())}")
        for source in study.sources:
            if isinstance(source, Simulated):
                _ = source.outline
        _ = study.steps
        scans = [scan for source in study.sources if isinstance(source, Simulated) for scan in source.scans()]
        for variant in study.methods.values():
            if variant.tuned:
                check_apart(read_tuned(variant.tuned), variant.tuned, scans)
        _ = study.limits
    except QsmbenchError as e:
        raise QsmbenchError(f"{where}: {e}") from e
    return study


def load(path: Path, instead: Mapping[str, Any] | None = None, *, methods: Mapping[str, str] | None = None) -> Study:
    """Load the study in a YAML file, with some keys overridden; see `parse`.

    Args:
        path: of the file.
        instead: values by key, in place of those of the file.
        methods: files or folders by the name of a method in the chains, besides those of the file.
    """
    content = {**read_yaml(path), **(instead or {})}
    if methods:
        named = content.get("methods")
        added = {name: {"use": path} for name, path in methods.items()}
        content["methods"] = {**(named if isinstance(named, dict) else {}), **added}
    return parse(content, str(path))
