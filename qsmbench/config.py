"""A study's configuration: one YAML → datasets × chains. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from qsmbench import chains
from qsmbench.chains import Limits, Step, Use
from qsmbench.choice.tune import check_apart, read_tuned
from qsmbench.errors import QsmbenchError
from qsmbench.model import Model, check, numbers, read_yaml
from qsmbench.phantom import load as load_phantom
from qsmbench.registry import Container
from qsmbench.scan.protocol import Protocol, load_protocol

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+-]*$")]
StepName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]


class Simulated(Model):
    """Scans of a phantom: one for each seed of the noise."""

    phantom: str = Field(description="name of a phantom or scenario, or path of its YAML")
    protocol: str = Field(description="name of a protocol, or path of its YAML")
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1, description="seeds of the noise")
    set: dict[str, Any] = Field({}, description="keys of the phantom to set anew, such as voxel_size: 1.5")
    set_protocol: dict[str, Any] = Field({}, description="keys of the protocol to set anew, such as snr: 50")
    orientation: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        None, description="which of the protocol's orientations, by default the first; all: for methods such as cosmos"
    )
    name: Name | None = Field(None, description="name of the group of datasets; by default phantom-case_protocol")

    def orientations(self, protocol: Protocol) -> list[int]:
        """Indices of the protocol's orientations that are scanned; the first is the one that is scored."""
        return list(range(len(protocol.orientations))) if self.orientation == "all" else [self.orientation or 0]

    def scans(self) -> list[dict[str, Any]]:
        """What each scan is made from, by which it can be told from others."""
        same = self.model_dump(mode="json", include={"phantom", "protocol", "set", "set_protocol"})
        return [{**same, "seed": seed} for seed in self.seeds]

    @property
    def group(self) -> str:
        """What the datasets that differ by their seed alone have in common."""
        what = [Path(self.phantom).stem]
        what += [f"{start}{self.set[key]}" for key, start in (("case", ""), ("subject", "subject-")) if key in self.set]
        turned = "" if self.orientation is None else f"_orientation-{self.orientation}"
        return self.name or f"{'-'.join(what)}_{Path(self.protocol).stem}{turned}"


class Measured(Model):
    """A real scan, in BIDS: chains run on it, and are judged by data consistency, since no truth is known."""

    bids: Path = Field(description="folder of a BIDS dataset with MEGRE images")
    subject: str | None = Field(None, description="label without sub-; by default the first")
    session: str | None = Field(None, description="label without ses-; by default the first, if there are any")
    mask: Path | None = Field(None, description="NIfTI mask; by default made from the magnitude")
    b0_dir: tuple[float, float, float] | None = Field(None, description="B0 in voxel axes; by default the affine's")
    phase_sign: int = Field(1, description="-1 if the scanner's phase falls with the field")
    name: Name | None = Field(None, description="name of the dataset; by default that of the BIDS folder")

    @field_validator("phase_sign")
    @classmethod
    def _sign(cls, sign: int) -> int:
        if sign not in (1, -1):
            raise ValueError("must be 1 or -1")
        return sign

    @property
    def group(self) -> str:
        """Name of the dataset without its subject."""
        return self.name or self.bids.name


class Variant(Model):
    """How a name in the chains is run: another method, a file, or other settings."""

    use: str | None = Field(
        None,
        description="name of a method, or path of its Python file, of a folder with an algorithm.yml, or of the YAML "
        "of a network; by default the name itself",
    )
    tuned: Path | None = Field(None, description="YAML of `qsmbench tune`, whose method and settings are taken")
    set: dict[str, Any] = Field({}, description="settings of the method to set anew")


def _kind(dataset: Any) -> str:
    keys = dataset if isinstance(dataset, dict) else vars(dataset)
    return "Measured" if "bids" in keys else "Simulated"


Dataset = Annotated[Annotated[Simulated, Tag("Simulated")] | Annotated[Measured, Tag("Measured")], Discriminator(_kind)]


class Study(Model):
    """A study: which datasets, which chains."""

    study: Name = Field(description="name of the study; it is written to results/<study>")
    description: str = Field("", description="one line, shown in the report")
    datasets: list[Dataset] = Field(min_length=1)
    chains: list[str] = Field(min_length=1, description="method names joined by dots; truth.tkd is fed the true field")
    methods: dict[StepName, Variant] = Field({}, description="variants of methods, by the name used in the chains")
    time_limit: Annotated[float, Field(gt=0)] = Field(600, description="s, for each step of a chain")
    memory_limit: Annotated[float, Field(gt=0)] | None = Field(None, description="MiB, for each step of a chain")
    container: Container = Field(
        "none", description="where folders of others' code run: on this machine, shut off there, or in their container"
    )
    device: str = Field("numpy", description="where portable methods compute: numpy, cupy, torch, torch:cuda …")
    results: Path = Field(Path("results"), description="folder that studies are written below")

    @field_validator("chains")
    @classmethod
    def _unique(cls, names: list[str]) -> list[str]:
        twice = [n for i, n in enumerate(names) if n in names[:i]]
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice")
        return names

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, datasets: list[Simulated | Measured]) -> list[Simulated | Measured]:
        groups = [d.group for d in datasets]
        twice = [g for i, g in enumerate(groups) if g in groups[:i]]
        if twice:
            raise ValueError(f"two datasets are called {twice[0]!r}; give one of them a name")
        return datasets

    def resolve(self, name: str) -> Use:
        """The method and settings behind a name in a chain."""
        variant = self.methods.get(name, Variant())
        if variant.tuned is None:
            return Use(variant.use or name, variant.set)
        tuned = read_tuned(variant.tuned)
        return Use(
            variant.use or tuned.use, {**tuned.set, **variant.set}, origin=f"tuned: {variant.tuned}, {tuned.told}"
        )

    def steps(self, chain: str) -> list[Step]:
        """The steps of a chain; see `chains.steps`."""
        return chains.steps(chain, self.resolve, container=self.container)

    @property
    def limits(self) -> Limits:
        """Within what each step runs."""
        return Limits(self.time_limit, self.memory_limit, self.container, self.device)

    @property
    def folder(self) -> Path:
        """Where the study is written."""
        return self.results / self.study


def parse(content: dict[str, Any], where: str) -> Study:
    """A study from its mapping, with every phantom, protocol and chain checked.

    Raises:
        QsmbenchError: an unknown key, an illegal value, or a chain whose steps do not fit; begins with `where`.
    """
    study = check(numbers(content), Study, where)
    try:
        for source in study.datasets:
            if isinstance(source, Simulated):
                load_phantom(source.phantom, source.set)
                protocol = load_protocol(source.protocol, source.set_protocol)
                for orientation in source.orientations(protocol):
                    protocol.check_orientation(orientation)
        for chain in study.chains:
            study.steps(chain)
        scans = [scan for source in study.datasets if isinstance(source, Simulated) for scan in source.scans()]
        for variant in study.methods.values():
            if variant.tuned:
                check_apart(read_tuned(variant.tuned), variant.tuned, scans)
        _ = study.limits
    except QsmbenchError as e:
        raise QsmbenchError(f"{where}: {e}") from e
    return study


def load(path: Path, instead: Mapping[str, str] | None = None) -> Study:
    """The study in a YAML file, with the values of some keys replaced; see `parse`."""
    return parse({**read_yaml(path), **(instead or {})}, str(path))
