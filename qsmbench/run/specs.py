"""Messages between processes: typed specifications and records of jobs, as JSON files.

Each is a frozen dataclass. It is written with its kind and the version of this format, and all keys are checked on
reading, so that processes of different versions never misinterpret each other's files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from qsmbench.errors import QsmbenchError

RUN_FILE = "run.json"
"""File name of the record of a step, next to its products."""

VERSION = 2
"""Version of the format; records of another version are recomputed."""


@dataclass(frozen=True)
class Spec:
    """Base of all specifications.

    `kind` is its name; `gathers` means that a job also runs if results of earlier jobs are missing.
    """

    kind: ClassVar[str]
    gathers: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"kind": self.kind, "version": VERSION, **{f.name: getattr(self, f.name) for f in fields(self)}}

    def text(self) -> str:
        """Return the file as text."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> Self:
        """Return the specification in the content of a file.

        Raises:
            QsmbenchError: another kind or version, or unknown or missing keys; begins with `where`.
        """
        given = dict(content)
        kind, version = given.pop("kind", None), given.pop("version", None)
        if (kind, version) != (cls.kind, VERSION):
            raise QsmbenchError(f"{where}: is {kind} of version {version}; required is {cls.kind} of version {VERSION}")
        known = {f.name for f in fields(cls)}
        wrong = sorted(set(given) ^ known)
        if wrong:
            raise QsmbenchError(f"{where}: {'unknown' if wrong[0] in given else 'missing'} key {wrong[0]!r}")
        return cls(**given)


@dataclass(frozen=True)
class StepSpec(Spec):
    """One method on one scan.

    Attributes:
        chain: the chain that ends in this step.
        method: name of the method, or path of its file or folder.
        settings: by name; the others have their defaults.
        inputs: for each input of the method, the folder that contains it.
        scan: folder with the acquisition parameters.
        out: folder for the products.
        orientations: names of the folders of the further orientations, within each folder.
        each_orientation: whether the method runs separately on every orientation, or only on the first.
        time_limit: s.
        memory_limit: MiB, or None.
        container: where others' code runs; see `method.Container`.
        device: where a portable method computes.
        broken: why the method cannot be loaded; empty if it can.
        own_code: whether only code of this package runs.
        hidden: folders that third-party code must not see where it runs isolated.
    """

    kind: ClassVar[str] = "step"
    chain: str
    method: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    scan: str
    out: str
    orientations: list[str]
    each_orientation: bool
    time_limit: float
    memory_limit: float | None
    container: str
    device: str
    broken: str = ""
    own_code: bool = False
    hidden: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScoreSpec(Spec):
    """The result of a chain, and the truth that it is compared with.

    Attributes:
        dataset: name of the dataset.
        chain: name of the chain.
        artifacts: artifacts to score; the first is drawn.
        result: folder of the chain's products.
        support: folder of the chain's final mask.
        field: folder of the input field of the chain's inversion; None if there is none.
        scan: folder of the scan.
        truth: folder of the truth; None for a measured scan.
        without: folder of the chain's products on the scan without planted sources, to subtract; None: nothing.
    """

    kind: ClassVar[str] = "score"
    dataset: str
    chain: str
    artifacts: list[str]
    result: str
    support: str
    field: str | None
    scan: str
    truth: str | None
    without: str | None = None


@dataclass(frozen=True)
class CommonSpec(Spec):
    """The results of all chains on one dataset, scored on their common voxels.

    Attributes:
        scores: specifications of the scores of each chain.
        attribution: for each chain whose error is divided, the chain that is fed the truth through each stage.
    """

    kind: ClassVar[str] = "common"
    gathers: ClassVar[bool] = True
    scores: list[dict[str, Any]]
    attribution: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PicturesSpec(Spec):
    """The pictures of the results of all chains on one dataset.

    Attributes:
        scores: specifications of the scores of each chain.
        volumes: whether the results are also packed for a browser.
    """

    kind: ClassVar[str] = "pictures"
    gathers: ClassVar[bool] = True
    scores: list[dict[str, Any]]
    volumes: bool = False


@dataclass(frozen=True)
class SimulationSpec(Spec):
    """A phantom and a protocol.

    Attributes:
        phantom: name of a phantom or scenario, or path of its YAML.
        set: overridden keys of the phantom.
        protocol: name of a protocol, or path of its YAML.
        set_protocol: overridden keys of the protocol.
        orientations: indices of the orientations to simulate.
    """

    kind: ClassVar[str] = "simulate"
    phantom: str
    set: dict[str, Any]
    protocol: str
    set_protocol: dict[str, Any]
    orientations: list[int]


@dataclass(frozen=True)
class NoiseSpec(Spec):
    """A noise-free scan and a seed.

    Attributes:
        noisefree: folder of the noise-free scan.
        seed: of the noise.
        protocol, set_protocol, orientations: as of the simulation.
    """

    kind: ClassVar[str] = "noise"
    noisefree: str
    seed: int
    protocol: str
    set_protocol: dict[str, Any]
    orientations: list[int]


@dataclass(frozen=True)
class MeasureSpec(Spec):
    """A measured scan: the keys of a dataset with `bids`."""

    kind: ClassVar[str] = "measure"
    source: dict[str, Any]


@dataclass(frozen=True)
class TablesSpec(Spec):
    """The tables of a study.

    Attributes:
        study: folder of the study.
        datasets: one row each, with the name, the group and all factors.
        chains: names of the chains.
        steps: for each chain, the chain after each of its steps.
        artifacts: scored artifacts of each chain.
        not_scored: artifacts that are not scored, with the reason.
    """

    kind: ClassVar[str] = "tables"
    gathers: ClassVar[bool] = True
    study: str
    datasets: list[dict[str, Any]]
    chains: list[str]
    steps: dict[str, list[str]]
    artifacts: dict[str, list[str]]
    not_scored: dict[str, str]


@dataclass(frozen=True)
class ReportSpec(Spec):
    """The report of a study.

    Attributes:
        study: folder of the study.
        config: its configuration as YAML text, defaults included.
        origins: origins of the settings, by method name in the chains.
        protocols: keys of the protocol of each simulated group.
    """

    kind: ClassVar[str] = "report"
    gathers: ClassVar[bool] = True
    study: str
    config: str
    origins: dict[str, str]
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)


KINDS: dict[str, type[Spec]] = {s.kind: s for s in Spec.__subclasses__()}


@dataclass(frozen=True)
class Job(Spec):
    """A job of a study's workflow.

    Attributes:
        name: of the job, such as `step head_brain-3t_seed-0 truth.tkd`.
        spec: specification, as returned by `Spec.to_json`.
        settings: the part of `spec` that the result depends on, without file paths.
        record: path of the record.
        targets: files and folders that only this job writes, in addition to the record.
        before: records of the jobs whose products it uses.
        inputs: inputs of the result: label → a digest, or `[record, what]` of an earlier job, where `what` is the path
            of a product, or `*` (all products), `status`, `run` (with time and memory) or `details`.
        code: digest of the code, and versions of packages.
        time_limit: s, or None; for a step, it is in its own specification.
        reusable: whether the former record and its products are kept if the inputs turn out to be unchanged.
    """

    kind: ClassVar[str] = "job"
    name: str
    spec: dict[str, Any]
    settings: dict[str, Any]
    record: str
    targets: list[str]
    before: list[str]
    inputs: dict[str, Any]
    code: dict[str, Any]
    time_limit: float | None = None
    reusable: bool = False

    def text(self) -> str:
        """Return the file as text, compact: a study writes thousands."""
        return json.dumps(self.to_json(), ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Record(Spec):
    """The outcome of a job, and what its result was computed from.

    Attributes:
        name: of the job.
        status: ok; skipped (for a stated reason); failed, timeout or memory; missing (an earlier job failed).
        reason: why it is not ok, in one line.
        products: path of each product, relative to the record's folder → digest of its content.
        made_from: what the result depends on: settings, code, versions of packages, and inputs by their digest.
        seconds: duration.
        peak_memory: MiB; None if unknown.
        transient: whether the failure may be due to the machine, so that the next run tries again.
        details: further facts, such as the settings used.
    """

    kind: ClassVar[str] = "record"
    name: str
    status: str
    reason: str = ""
    products: dict[str, str] = field(default_factory=dict)
    made_from: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    peak_memory: float | None = None
    transient: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.status == "ok"


def write_spec(path: Path, spec: Spec) -> None:
    """Write a specification or a record atomically, so that a reader never sees a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(spec.text())
    partial.replace(path)


def read_job(path: Path) -> Job:
    """Read a job.

    Raises:
        QsmbenchError: no such file, damaged, or of another version.
    """
    return Job.from_json(_read(path), str(path))


def read_record(path: Path) -> Record | None:
    """Read a record; None if there is none or it is invalid."""
    try:
        record = Record.from_json(_read(path), str(path))
    except (QsmbenchError, TypeError):
        return None
    texts = isinstance(record.status, str) and isinstance(record.reason, str)
    tables = all(isinstance(t, dict) for t in (record.products, record.made_from, record.details))
    return record if texts and tables else None


def to_spec(content: Mapping[str, Any], where: str) -> Spec:
    """Return the specification in a job.

    Raises:
        QsmbenchError: its kind is unknown, or it is damaged.
    """
    kind = KINDS.get(str(content.get("kind")))
    if kind is None:
        raise QsmbenchError(f"{where}: unknown kind of specification {content.get('kind')!r}")
    return kind.from_json(content, where)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as e:
        raise QsmbenchError(f"{path}: cannot be read ({e})") from e
    if not isinstance(content, dict):
        raise QsmbenchError(f"{path}: contains {type(content).__name__}; it must be a JSON object")
    return content


def prefixes(chain: str) -> list[str]:
    """Return the chain after each of its steps: `a.b.c` → `a`, `a.b`, `a.b.c`."""
    names = chain.split(".")
    return [".".join(names[: i + 1]) for i in range(len(names))]
