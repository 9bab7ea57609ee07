"""The plan of a study: its datasets, its jobs, and the files that each reads and writes.

All paths below a study's folder are defined here. The Snakefile requests the records of jobs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from qsmbench import metrics
from qsmbench.analysis.results import ORIGINS_FILE, PROTOCOLS_FILE
from qsmbench.data.artifacts import ARTIFACTS, SCAN_ARTIFACTS, VEIN_ARTIFACTS
from qsmbench.data.folders import PARAMS_FILE, RECEIVER_FILE, REGIONS_FILE, VEINS_FILE, orientation_folder
from qsmbench.data.measured import measured_files
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE
from qsmbench.data.score_table import FACTORS
from qsmbench.data.source_table import SOURCES_FILE
from qsmbench.dependencies import PACKAGE, code_of
from qsmbench.paths import data_dir
from qsmbench.run import chains, registry
from qsmbench.run.chains import Places, Step
from qsmbench.run.specs import (
    RUN_FILE,
    CommonSpec,
    Job,
    MeasureSpec,
    NoiseSpec,
    PicturesSpec,
    Record,
    ReportSpec,
    ScoreSpec,
    SimulationSpec,
    Spec,
    StepSpec,
    TablesSpec,
    prefixes,
    read_record,
)
from qsmbench.scan.protocol import load_protocol, protocol_file
from qsmbench.study import freshness, stages
from qsmbench.study.ask import JOBS, job_file
from qsmbench.study.config import Study
from qsmbench.study.contents import Contents
from qsmbench.study.datasets import Measured, Simulated
from qsmbench.study.factors import factors
from qsmbench.study.versions import reported_versions
from qsmbench.view.packed import VOLUMES

SCORED_WITH = ("mask", "labels", "local_field")
"""Artifacts that every score depends on."""

PLANTED = "_planted"
"""What the name of a dataset with planted sources ends in."""

MACHINERY = {
    *(PACKAGE / "run" / name for name in ("specs.py", "step.py", "registry.py")),
    *(PACKAGE / f"{name}.py" for name in ("dependencies", "source_code", "probe", "supervise", "child", "errors")),
}
"""Code that does not affect results: it passes on specifications, finds code, or formats error messages."""


@dataclass(frozen=True)
class Dataset:
    """One scan of a study; scans of a group differ only in the seed of their noise."""

    name: str
    group: str
    seed: int | None
    source: Simulated | Measured
    planted: bool = False
    """Whether it is a measured scan with the sources of `plant`, whose truth is what they change."""

    @property
    def without(self) -> str:
        """Name of the dataset without the planted sources."""
        return self.name.removesuffix(PLANTED)

    @property
    def has_truth(self) -> bool:
        """Whether the scan was simulated."""
        return isinstance(self.source, Simulated)


class Plan:
    """The datasets and jobs of a study, by name."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.folder = study.folder.absolute()  # a method may change the working directory
        self.datasets = {d.name: d for source in study.sources for d in _scans(source)}
        self.steps = study.steps
        self.contents = Contents(self.folder / JOBS / "contents.json")

    @property
    def groups(self) -> dict[str, Dataset]:
        """One dataset of each simulated group."""
        return {d.group: d for d in self.datasets.values() if d.has_truth}

    # Records: what each job leaves, and what others wait for.

    def simulation(self, group: str) -> Path:
        """Return the record of a group's noise-free scan and truth."""
        return self.folder / group / "simulation.json"

    def scan(self, dataset: str) -> Path:
        """Return the record of a scan."""
        return self.folder / dataset / "scan.json"

    def step(self, dataset: str, chain: str) -> Path:
        """Return the record of a step."""
        return self.folder / dataset / "chains" / chain / RUN_FILE

    def score(self, dataset: str, chain: str) -> Path:
        """Return the record of the scores of a chain."""
        return self.folder / dataset / "scores" / f"{chain}.json"

    def common(self, dataset: str) -> Path:
        """Return the record of the scores on the common voxels."""
        return self.folder / dataset / "common.json"

    def pictures(self, dataset: str) -> Path:
        """Return the record of the pictures of a dataset."""
        return self.folder / dataset / "pictures.json"

    @property
    def tables(self) -> Path:
        """The record of the study's tables."""
        return self.folder / "tables.json"

    @property
    def report(self) -> Path:
        """The record of the study's report."""
        return self.folder / "report.json"

    # Folders

    def places(self, dataset: str) -> Places:
        """Return the locations of the artifacts of the chains on a dataset."""
        d = self.datasets[dataset]
        folder = self.folder / dataset
        truth = self.folder / d.group / "truth" if d.has_truth else None
        return Places(folder / "chains", folder / "scan", truth, hidden=(self.study.results.resolve(),))

    # Jobs

    def own_modules(self) -> list[str]:
        """Return the dotted names of this package's modules with the study's methods and the metrics."""
        methods = {s.method.source for s in self.steps.values() if registry.is_own(s.use.method)}
        files = [f for f in {*methods, *metrics.files()} if f.is_relative_to(PACKAGE)]
        return sorted(".".join(f.relative_to(PACKAGE.parent).with_suffix("").parts) for f in files)

    @staticmethod
    def pattern(names: Iterable[str]) -> str:
        """Return a regular expression that matches the given names only."""
        return "|".join(re.escape(n) for n in names) or r"(?!)"

    def before(self, record: Path) -> list[str]:
        """Return the records that a job depends on directly, without those that another of them depends on.

        Snakemake takes as long for each of them as for a job.
        """
        direct = self._jobs[str(record)].before
        implied = set().union(*(self._ancestors[r] for r in direct))
        return [r for r in direct if r not in implied]

    def before_scan(self, dataset: str) -> list[str]:
        """Return the records of other folders that the jobs of a dataset depend on."""
        own = self.folder / dataset
        direct = {r for job in self._jobs.values() if Path(job.record).is_relative_to(own) for r in job.before}
        return sorted(r for r in direct if not Path(r).is_relative_to(own))

    @property
    def last(self) -> list[str]:
        """The records of all datasets that are written last, if the jobs of a dataset are run together."""
        return [str(path(d)) for d in self.datasets for path in (self.common, self.pictures)]

    @cached_property
    def _ancestors(self) -> dict[str, set[str]]:
        """All records that each job depends on, by its own record."""
        found: dict[str, set[str]] = {}
        for record, job in self._jobs.items():
            found[record] = set(job.before).union(*(found[r] for r in job.before))
        return found

    @cached_property
    def _jobs(self) -> dict[str, Job]:
        return {job.record: job for job in self.jobs()}

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs of the study, each after the jobs that it depends on."""
        for group in self.groups:
            yield self._simulate_job(group)
        for dataset in self.datasets.values():
            yield self._noise_job(dataset) if dataset.has_truth else self._measure_job(dataset)
            for step in self.steps.values():
                yield self._step_job(dataset, step)
            scores = [self._score_job(dataset, chain) for chain in self.study.chains]
            yield from scores
            yield self._for_all_chains(dataset, "common", ["common.parquet", "common.nii.gz"], scores)
            yield self._for_all_chains(dataset, "pictures", ["pictures", VOLUMES], scores)
        yield self._tables_job()
        yield self._report_job()

    def job_file(self, job: Job) -> Path:
        """Return the path of a job's specification."""
        return Path(job_file(str(self.folder), job.record))

    def prepare(self, *, force: bool = False, rerun: Sequence[str] = ()) -> list[Job]:
        """Determine the outdated jobs, and write the specification of each job; return the jobs to run.

        Args:
            force: rerun everything.
            rerun: chains whose steps are rerun.
        """
        freshness.remove_leftovers(self.folder)
        again = {str(self.step(d, p)) for d in self.datasets for c in rerun for p in prefixes(c)}
        waiting = freshness.prepare(
            self._jobs.values(),
            self.contents,
            rerun=lambda job: force or job.record in again,
            limited=_limited,
            place=self.job_file,
        )
        self.contents.save()
        return waiting

    def records(self) -> dict[str, Record | None]:
        """Return the record of each job, by path; None if it is missing."""
        return {path: read_record(Path(path)) for path in self._jobs}

    def config_text(self) -> str:
        """Return the whole configuration, defaults included, as YAML."""
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where it is compiled
        return yaml.dump(self.study.model_dump(mode="json"), Dumper=dumper, sort_keys=False, allow_unicode=True)

    def _job(
        self,
        rule: str,
        what: str,
        spec: Spec,
        record: Path,
        targets: Iterable[str],
        *,
        settings: dict[str, Any],
        inputs: dict[str, Any],
        code: Iterable[Path],
        data: Iterable[Path] = (),
        modules: Iterable[str] = (),
        artifacts: Iterable[str] | None = None,
        drawn: bool = False,
        time_limit: float | None = None,
    ) -> Job:
        """Return a job; it depends on the rows `artifacts` of the artifact table (by default on the whole table)."""
        tables = {} if artifacts is None else {PACKAGE / "data" / "artifacts.py": "ARTIFACTS"}
        found = code_of(code, data, modules=modules, without=MACHINERY, tables=tables)
        rows = {a: _row(a, drawn=drawn) for a in artifacts or ()}
        return Job(
            name=f"{rule} {what}".strip(),
            spec=spec.to_json(),
            settings=settings,
            record=str(record),
            targets=[str(record.parent / t) for t in targets],
            before=list(dict.fromkeys(value[0] for value in inputs.values() if isinstance(value, list))),
            inputs=inputs,
            code={"code": found.digest, "versions": found.versions, "artifacts": rows},
            time_limit=time_limit,
        )

    def _simulate_job(self, group: str) -> Job:
        source = self.groups[group].source
        assert isinstance(source, Simulated)
        spec = SimulationSpec(
            phantom=source.phantom,
            set=source.set,
            protocol=source.protocol,
            set_protocol=source.set_protocol,
            orientations=self.orientations[group],
        )
        meaning = self.contents.meaning
        tables = [data_dir() / "phantoms" / name for name in ("tissues.csv", "sources.csv")]
        files = sorted({*source.outline.files, *tables, protocol_file(source.protocol)})
        settings = {**asdict(spec), "phantom": Path(source.phantom).stem, "protocol": Path(source.protocol).stem}
        return self._job(
            "simulate",
            group,
            spec,
            self.simulation(group),
            ["noisefree", "truth"],
            settings=settings,
            inputs={f"file {i}": value for i, value in enumerate(sorted(f"{f.name} {meaning(f)}" for f in files))},
            code=[PACKAGE / "study" / "jobs" / "simulate.py"],
            artifacts=[a for a, row in ARTIFACTS.items() if row.in_scan or row.truth != "never"],
        )

    def _noise_job(self, dataset: Dataset) -> Job:
        source, simulation = dataset.source, self.simulation(dataset.group)
        assert isinstance(source, Simulated) and dataset.seed is not None
        spec = NoiseSpec(
            noisefree=str(self.folder / dataset.group / "noisefree"),
            seed=dataset.seed,
            protocol=source.protocol,
            set_protocol=source.set_protocol,
            orientations=self.orientations[dataset.group],
        )
        names = [f"noisefree/{f}" for f in (*_scan_files(), RECEIVER_FILE)]
        inputs: dict[str, Any] = {f: [str(simulation), f] for f in _in_all(names, spec.orientations)}
        inputs["protocol"] = self.contents.meaning(protocol_file(source.protocol))
        return self._job(
            "noise",
            dataset.name,
            spec,
            self.scan(dataset.name),
            ["scan"],
            settings={"seed": spec.seed, "set_protocol": spec.set_protocol, "orientations": spec.orientations},
            inputs=inputs,
            code=[PACKAGE / "study" / "jobs" / "noise.py"],
            artifacts=SCAN_ARTIFACTS,
        )

    def _measure_job(self, dataset: Dataset) -> Job:
        source = dataset.source
        assert isinstance(source, Measured)
        content = source.model_dump(mode="json", exclude={"name", "subjects"})
        if not dataset.planted:
            content |= {"plant": [], "plant_tissue": ""}
        files = measured_files(source.bids, source.subject, source.session)
        inputs: dict[str, Any] = {os.path.relpath(f, source.bids): self.contents.digest(f) for f in files}
        if source.mask:
            inputs["mask"] = self.contents.digest(source.mask)
        return self._job(
            "measure",
            dataset.name,
            MeasureSpec(content),
            self.scan(dataset.name),
            ["scan", "truth"] if dataset.planted else ["scan"],
            settings={**content, "bids": "", "mask": ""},
            inputs=inputs,
            code=[PACKAGE / "study" / "jobs" / "measure.py"],
            artifacts=SCAN_ARTIFACTS,
        )

    def _step_job(self, dataset: Dataset, step: Step) -> Job:
        places = self.places(dataset.name)
        orientations = self._further_orientations(dataset)
        each = step.chain in self._over_orientations
        spec = step.spec(places, self.study.limits, orientations=orientations, each=each)
        method = step.method
        named = registry.named_in({**method.settings, **step.use.settings})
        methods = [method, *(registry.describe(v, container=self.study.container) for v in named)]
        files = [f for m in methods for f in m.files]
        settings = {
            "settings": spec.settings,
            "container": "none" if spec.own_code else spec.container,
            "device": spec.device if method.portable else "numpy",
            "orientations": orientations if each or "orientations" in method.consumes else [],
            "each_orientation": each,
            "broken": spec.broken,
            "method": method.name,
        }
        return self._job(
            "step",
            f"{dataset.name} {step.chain}",
            spec,
            self.step(dataset.name, step.chain),
            [],  # the whole folder is its own
            settings=settings,
            inputs=self._step_inputs(dataset, step, spec),
            code=[*(m.source for m in methods), *(f for f in files if _is_ours(f)), PACKAGE / "run" / "worker.py"],
            data=[f for f in files if not _is_ours(f)],
            artifacts=[*spec.inputs, *method.produces],
        )

    def _step_inputs(self, dataset: Dataset, step: Step, spec: StepSpec) -> dict[str, Any]:
        """Return the products of earlier jobs that a step reads, by label; always those of the preceding step."""
        scan = self.scan(dataset.name)
        every = ["", *self._further_orientations(dataset)] if spec.each_orientation or spec.orientations else [""]
        inputs: dict[str, Any] = {f"params {p}": [str(scan), str(Path("scan", p, PARAMS_FILE))] for p in every}
        if step.parent:
            inputs["before"] = [str(self.step(dataset.name, step.parent)), "status"]
        places = ["", *spec.orientations] if spec.each_orientation or "orientations" in step.method.consumes else [""]
        for name, provider in step.inputs.items():
            for place in places:
                source = self._product(dataset, provider, f"{place}/{ARTIFACTS[name].file}".lstrip("/"))
                if source:
                    inputs[f"{name} {place}".strip()] = source
        return inputs

    def _product(self, dataset: Dataset, provider: str, file: str) -> list[str] | None:
        """Return the record of the job that writes a file, and the file's path within the record's products."""
        if provider == chains.SCAN:
            return [str(self.scan(dataset.name)), f"scan/{file}"]
        if provider == chains.TRUTH_FOLDER:
            return [str(self.simulation(dataset.group)), f"truth/{file}"] if dataset.has_truth else None
        return [str(self.step(dataset.name, provider)), file]

    def _score_spec(self, dataset: Dataset, chain: str) -> ScoreSpec:
        spec = chains.score_spec(self.steps[chain], self.places(dataset.name), dataset.name)
        if not dataset.planted:
            return spec
        without = str(self.step(dataset.without, chain).parent)
        return replace(spec, truth=str(self.folder / dataset.name / "truth"), without=without)

    def _score_inputs(self, dataset: Dataset, chain: str) -> dict[str, Any]:
        """Return the products of earlier jobs that the scores of a chain depend on, by label."""
        step, scan = self.steps[chain], str(self.scan(dataset.name))
        mask = ARTIFACTS["mask"].file
        providers = {**step.providers, **dict.fromkeys(step.method.produces, chain)}
        run = str(self.step(dataset.name, chain))
        inputs: dict[str, Any] = {"run": [run, "status"], "params": [scan, f"scan/{PARAMS_FILE}"]}
        inputs |= {f"result {a}": [run, ARTIFACTS[a].file] for a in step.artifacts}
        inputs["mask"] = [scan, f"scan/{mask}"]
        for label, name in (("support", "mask"), ("field", "local_field")):
            if name in providers:
                inputs[label] = self._product(dataset, providers[name], ARTIFACTS[name].file)
        if dataset.planted:
            without = str(self.step(dataset.without, chain))
            inputs["run without"] = [without, "status"]
            inputs |= {f"without {a}": [without, ARTIFACTS[a].file] for a in step.artifacts}
        if dataset.has_truth or dataset.planted:
            truth = scan if dataset.planted else str(self.simulation(dataset.group))
            files = {"labels": ARTIFACTS["labels"].file, "regions": REGIONS_FILE, "study mask": mask}
            files |= {"sources": SOURCES_FILE}
            files |= {f"true {a}": ARTIFACTS[a].file for a in step.artifacts}
            if any(ARTIFACTS[a].sparse for a in step.artifacts):
                files |= {f"true {a}": ARTIFACTS[a].file for a in VEIN_ARTIFACTS}
                files |= {"names of veins": VEINS_FILE}
            inputs |= {label: [truth, f"truth/{file}"] for label, file in files.items()}
        return {label: source for label, source in inputs.items() if source is not None}

    def _score_job(self, dataset: Dataset, chain: str) -> Job:
        spec = self._score_spec(dataset, chain)
        return self._job(
            "score",
            f"{dataset.name} {chain}",
            spec,
            self.score(dataset.name, chain),
            [f"{chain}.parquet"],
            settings={"dataset": dataset.name, "chain": chain, "artifacts": spec.artifacts},
            inputs=self._score_inputs(dataset, chain),
            code=[PACKAGE / "study" / "jobs" / "score.py", *metrics.files()],
            modules=metrics.modules(),
            artifacts=[*spec.artifacts, *SCORED_WITH],
            time_limit=self.study.time_limit,  # a metric of another package may never return
        )

    def _for_all_chains(self, dataset: Dataset, rule: str, targets: list[str], scores: list[Job]) -> Job:
        inputs = {f"{s.spec['chain']}: {label}": source for s in scores for label, source in s.inputs.items()}
        specs = [s.spec for s in scores]
        scores_again = rule == "common"
        volumes = not scores_again and dataset.name in self._with_volumes
        attribution = self._attribution if scores_again and dataset.has_truth else {}
        return self._job(
            rule,
            dataset.name,
            CommonSpec(specs, attribution) if scores_again else PicturesSpec(specs, volumes),
            self.folder / dataset.name / f"{rule}.json",
            targets,
            settings={
                "dataset": dataset.name,
                "chains": [[s["chain"], s["artifacts"]] for s in specs],
                **({"attribution": attribution} if attribution else {}),
                **({"volumes": volumes} if volumes else {}),
            },
            inputs=inputs,
            code=[PACKAGE / "study" / "jobs" / f"{rule}.py", *(metrics.files() if scores_again else [])],
            modules=metrics.modules() if scores_again else (),
            artifacts=[*dict.fromkeys(a for s in specs for a in s["artifacts"]), *SCORED_WITH],
            drawn=not scores_again,
            time_limit=self.study.time_limit * len(specs),
        )

    def _tables_job(self) -> Job:
        spec = TablesSpec(
            study=str(self.folder),
            datasets=[self._row_of(d) for d in self.datasets.values()],
            chains=self.study.chains,
            steps={c: prefixes(c) for c in self.study.chains},
            artifacts={c: self.steps[c].artifacts for c in self.study.chains},
            not_scored={a: why for a in ARTIFACTS if (why := metrics.not_scored(a))},
        )
        made = [self.scan(d) for d in self.datasets] + [self.simulation(g) for g in self.groups]
        scored = [self.score(d, c) for d in self.datasets for c in self.study.chains]
        scored += [self.common(d) for d in self.datasets]
        ran = [self.step(d, s) for d in self.datasets for s in self.steps]
        inputs: dict[str, Any] = {f"made {self._label(r)}": [str(r), "status"] for r in made}
        inputs |= {f"scored {self._label(r)}": [str(r), "*"] for r in scored}
        inputs |= {f"ran {self._label(r)}": [str(r), "run"] for r in ran}
        return self._job(
            "tables",
            "",
            spec,
            self.tables,
            ["scores.parquet", "scores.csv", "datasets.csv"],
            settings={k: v for k, v in asdict(spec).items() if k != "study"},
            inputs=inputs,
            code=[PACKAGE / "study" / "jobs" / "tables.py"],
            artifacts=(),
        )

    def _report_job(self) -> Job:
        origins = {s.name: s.use.origin for s in self.steps.values() if s.use.settings}
        spec = ReportSpec(str(self.folder), self.config_text(), origins, self._protocols)
        inputs: dict[str, Any] = {"tables": [str(self.tables), "*"]}
        inputs |= {f"pictures {d}": [str(self.pictures(d)), "*"] for d in self.datasets}
        inputs |= {f"drawn {d}": [str(self.pictures(d)), "details"] for d in self.datasets}
        for group in self.groups:
            record = str(self.simulation(group))
            shown = (PROVENANCE_FILE, SCENARIO_FILE, REGIONS_FILE, SOURCES_FILE)
            inputs |= {f"{f} {group}": [record, f"truth/{f}"] for f in shown}
        inputs |= {f"notes {d}": [str(self.scan(d)), "scan/notes.json"] for d in self.datasets}
        inputs |= {f"used {d} {s}": [str(self.step(d, s)), "details"] for d in self.datasets for s in self.steps}
        pages = sorted([*(PACKAGE / "report").glob("*.j2"), *(PACKAGE / "view").rglob("*.js")])
        definitions = {
            f.stem: self.contents.digest(f) for f in metrics.files()
        }  # with their docstrings, which it shows
        settings = {"config": re.sub(r"(?m)^results: .*$", "", spec.config), "origins": origins}
        settings |= {"definitions": definitions, "versions": reported_versions(), "protocols": spec.protocols}
        return self._job(
            "report",
            "",
            spec,
            self.report,
            ["report", "config.yaml", "versions.json", ORIGINS_FILE, PROTOCOLS_FILE],
            settings=settings,
            inputs=inputs,
            code=[PACKAGE / "study" / "jobs" / "report.py", *metrics.files()],
            modules=metrics.modules(),
            data=pages,
        )

    def _label(self, record: Path) -> str:
        return str(record.relative_to(self.folder))

    @cached_property
    def orientations(self) -> dict[str, list[int]]:
        """Return the indices of the scanned orientations, by group; a measured scan has one."""
        found = {}
        for d in self.datasets.values():
            if d.group not in found:
                found[d.group] = _scanned_orientations(d.source)
        return found

    def positions(self, group: str) -> int:
        """Return the number of positions of the object in a scan, each of which takes the time of a simulation."""
        source = self.groups[group].source
        return source.outline.positions if isinstance(source, Simulated) else 1

    @cached_property
    def _protocols(self) -> dict[str, dict[str, Any]]:
        """Return the keys of the protocol of each simulated group."""
        sources = {group: d.source for group, d in self.groups.items()}
        simulated = {group: s for group, s in sources.items() if isinstance(s, Simulated)}
        return {g: load_protocol(s.protocol, s.set_protocol).model_dump(mode="json") for g, s in simulated.items()}

    @cached_property
    def _with_volumes(self) -> set[str]:
        """The datasets whose volumes can be looked through: the first of each group; the others differ in noise."""
        return {d.name for d in {d.group: d for d in reversed(self.datasets.values())}.values()}

    @cached_property
    def _attribution(self) -> dict[str, dict[str, str]]:
        """Return the chains that are fed the truth through each stage, by the chain whose error is divided."""
        return {c: stages.fed(self.study.steps_of(c)) for c in self.study.attribution}

    @cached_property
    def _over_orientations(self) -> set[str]:
        return chains.over_orientations(self.steps.values())

    @cached_property
    def _factors(self) -> dict[str, dict[str, Any]]:
        """Return the factors of each group, by column."""
        return factors({d.group: d.source for d in self.datasets.values()})

    def _row_of(self, dataset: Dataset) -> dict[str, Any]:
        """Return the row of a dataset in `datasets.csv`."""
        empty = dict.fromkeys(FACTORS, "")
        return {**empty, "dataset": dataset.name, "group": dataset.group, "seed": dataset.seed} | self._factors[
            dataset.group
        ]

    def _further_orientations(self, dataset: Dataset) -> list[str]:
        return [orientation_folder(i) for i in range(1, len(self.orientations[dataset.group]))]


def _scanned_orientations(source: Simulated | Measured) -> list[int]:
    if isinstance(source, Measured):
        return [0]
    return list(source.outline.orientations)


def _scans(source: Simulated | Measured) -> list[Dataset]:
    if isinstance(source, Measured):
        scan = Dataset(source.group, source.group, None, source)
        name = f"{source.group}{PLANTED}"
        return [scan, Dataset(name, name, None, source, planted=True)] if source.plant else [scan]
    return [Dataset(f"{source.group}_seed-{seed}", source.group, seed, source) for seed in source.seeds]


def _is_ours(file: Path) -> bool:
    """Whether a file is code of the package, so that its imports are also compared."""
    return file.is_relative_to(PACKAGE) and file.suffix == ".py"


def _row(artifact: str, *, drawn: bool) -> dict[str, Any]:
    """Return the entries of the artifact table that a result can depend on."""
    row = ARTIFACTS[artifact]
    fields = {
        f: str(getattr(row, f)) for f in ("file", "unit", "echoes", "dtype", "own_zero", "sparse", "truth", "unscored")
    }
    return {**fields, "scale": str(row.scale)} if drawn else fields


def _scan_files() -> list[str]:
    return [*(ARTIFACTS[name].file for name in SCAN_ARTIFACTS), PARAMS_FILE]


def _in_all(files: list[str], orientations: list[int]) -> list[str]:
    """Return the files of a scan and of each further orientation in its folder."""
    places = [orientation_folder(i) for i in range(len(orientations))]
    return [str(Path(f).parent / place / Path(f).name) for place in places for f in files]


def _limited(job: Job, record: Record) -> bool:
    """Whether the outcome of a step may change because its limits have changed."""
    spec, limits = job.spec, record.details.get("limits")
    if spec["kind"] != StepSpec.kind or not limits:
        return False
    if record.status in ("timeout", "memory"):
        return json.dumps(limits) != json.dumps({k: spec[k] for k in ("time_limit", "memory_limit")})
    took, memory = record.details.get("wall"), record.peak_memory
    slow = took is not None and took > spec["time_limit"]
    large = memory is not None and spec["memory_limit"] is not None and memory > spec["memory_limit"]
    return record.status == "ok" and (slow or large)
