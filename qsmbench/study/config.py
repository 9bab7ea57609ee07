"""A study's configuration: one YAML → datasets × chains. Unknown keys are rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from qsmbench.errors import QsmbenchError
from qsmbench.method import Container
from qsmbench.phantom.load import load as load_phantom
from qsmbench.run import chains, registry
from qsmbench.run.chains import Limits, Step, Use
from qsmbench.scan.memory import check_memory
from qsmbench.scan.protocol import load_protocol
from qsmbench.study.datasets import Dataset, Measured, Name, Simulated
from qsmbench.study.tuned import check_apart, read_tuned
from qsmbench.typed_yaml import Model, check, check_finite, numbers, read_yaml

RESERVED = ("logs", "report")
"""Folders of a study that are not datasets."""

StepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$", max_length=100)]

LONGEST = 200
"""Bytes of the name of a chain or a dataset: both are names of files, which have at most 255 with what is added."""


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
        min_length=1, description="method names joined by dots; truth.tkd is applied to the true field"
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

    @field_validator("chains")
    @classmethod
    def _unique(cls, names: list[str]) -> list[str]:
        twice = [n for i, n in enumerate(names) if n in names[:i]]
        if twice:
            raise ValueError(f"{twice[0]!r} is listed twice")
        _check_lengths(names)
        return names

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, given: list[Simulated | Measured]) -> list[Simulated | Measured]:
        """Return a dataset for each subject, after a look at the names of all."""
        datasets = [one for d in given for one in (d.each() if isinstance(d, Measured) else [d])]
        groups = [d.group for d in datasets]
        strange = [g for g in groups if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+_.-]*", g)]
        if strange:
            raise ValueError(f"a dataset would be called {strange[0]!r}; give it a name of letters, digits, + and -")
        names = [f"{d.group}_seed-{s}" for d in datasets if isinstance(d, Simulated) for s in d.seeds]
        names += [d.group for d in datasets if isinstance(d, Measured)]
        _check_lengths(names)
        double = [n for i, n in enumerate(names) if n in names[:i]]
        if double and len(set(groups)) == len(groups):
            raise ValueError(f"two scans are called {double[0]!r}; give one a name, or each its own seed")
        taken = [g for g in groups if g in RESERVED]
        if taken:
            raise ValueError(f"a dataset is called {taken[0]!r}, which is a reserved folder name; give it another name")
        twice = [g for i, g in enumerate(groups) if g in groups[:i]]
        if twice:
            raise ValueError(f"two datasets are called {twice[0]!r}; give one of them a name")
        return datasets

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
        """The steps of all chains, by the chain up to the step; see `chains.steps`."""
        describe = partial(registry.describe, container=self.container)
        return {s.chain: s for chain in self.chains for s in chains.steps(chain, self.resolve, describe=describe)}

    @property
    def limits(self) -> Limits:
        """Limits of each step."""
        return Limits(self.time_limit, self.memory_limit, self.container, self.device)

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return self.results / self.study


def _finite(content: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        content = numbers(content)
        check_finite(content)
    except ValueError as e:
        raise QsmbenchError(f"{where}: {e}") from e
    return content


def parse(content: dict[str, Any], where: str) -> Study:
    """Build a study from its mapping, and check every phantom, protocol and chain.

    Raises:
        QsmbenchError: an unknown key, an invalid value, or a chain with incompatible steps; begins with `where`.
    """
    study = check(_finite(content, where), Study, where)
    try:
        for source in study.datasets:
            if isinstance(source, Simulated):
                phantom = load_phantom(source.phantom, source.set)
                protocol = load_protocol(source.protocol, source.set_protocol)
                check_memory(phantom, protocol)
                for orientation in source.orientations(protocol):
                    protocol.check_orientation(orientation)
        _ = study.steps
        scans = [scan for source in study.datasets if isinstance(source, Simulated) for scan in source.scans()]
        for variant in study.methods.values():
            if variant.tuned:
                check_apart(read_tuned(variant.tuned), variant.tuned, scans)
        _ = study.limits
    except QsmbenchError as e:
        raise QsmbenchError(f"{where}: {e}") from e
    return study


def load(path: Path, instead: Mapping[str, str] | None = None) -> Study:
    """Load the study in a YAML file, with some keys overridden; see `parse`."""
    return parse({**read_yaml(path), **(instead or {})}, str(path))
