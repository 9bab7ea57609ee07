"""Run a study: Snakemake with our Snakefile, and a progress bar."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qsmbench.data.folders import make_folder
from qsmbench.errors import QsmbenchError, suggest
from qsmbench.paths import data_dir
from qsmbench.study import ask
from qsmbench.study.ask import JOBS
from qsmbench.study.config import Study, parse
from qsmbench.study.plan import Plan
from qsmbench.study.scoring import FAILED_CHAINS
from qsmbench.study.warm import WarmProcess
from qsmbench.typed_yaml import read_yaml

CLUSTER_CORES = 8
"""Processors of a job where Snakemake is not told how many there are, as on a cluster; assumed."""

BECAUSE_OF_FAILURE = ("failed", "timeout", "memory", "missing")


@dataclass
class Outcome:
    """The outcome of a study.

    Attributes:
        datasets: names of the failed datasets, with the reason.
        chains: chains without a result because of a failure, as pairs of dataset and chain, with the reason.
        skipped: the same for chains skipped for a stated reason.
        broken: other jobs that failed or wrote no record, with the reason.
    """

    datasets: dict[str, str] = field(default_factory=dict)
    chains: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether nothing failed and nothing is missing."""
        return not (self.datasets or self.chains or self.broken)


_prepared: dict[str, Plan] = {}  # by the configuration as JSON: the plan of this process's run


def planned(config: dict[str, Any], where: str, *, prepare: bool) -> Plan:
    """Return the plan of a study for the Snakefile; move outdated records aside if `prepare` is set.

    Raises:
        QsmbenchError: the configuration is invalid, or another run is using the study.
    """
    study = parse(config, where)
    key = _key(study)
    if key not in _prepared:
        plan = _prepared[key] = Plan(study)
        if prepare:
            make_folder(study.folder)
            _hold(study.folder)
            plan.prepare()
    return _prepared[key]


def command(plan: Plan) -> str:
    """Return the shell command of every rule of the Snakefile, in the format language of Snakemake.

    It runs in the present working directory, which the Snakefile may change.
    """
    asking = [sys.executable, "-I", "-S", ask.__file__, str(plan.folder)]
    return _shell(f"QSMBENCH_THREADS={{threads}} OMP_NUM_THREADS={{threads}} exec {_words(asking)} {{output:q}}")


def scan_command(plan: Plan) -> str:
    """Return the shell command that runs all jobs of a dataset, in the format language of Snakemake."""
    batch = [sys.executable, "-P", "-m", "qsmbench.study.batch", str(plan.folder)]
    return _shell(f"QSMBENCH_THREADS=1 OMP_NUM_THREADS=1 exec {_words(batch)} {{wildcards.dataset:q}} {{threads}}")


def _shell(program: str) -> str:
    return f"exec 2> {{log:q}}; cd {_words([str(Path.cwd())])} && {program}"


def _words(words: Sequence[str]) -> str:
    """Return words for the shell, in which Snakemake replaces nothing."""
    return shlex.join(words).replace("{", "{{").replace("}", "}}")


def run(
    study: Study,
    *,
    cores: int,
    force: bool = False,
    rerun: Sequence[str] = (),
    profile: str | None = None,
) -> Outcome:
    """Run a study; reuse up-to-date results.

    Args:
        study: the study.
        cores: number of processors to use.
        force: rerun everything.
        rerun: chains whose steps are rerun.
        profile: name of a profile in `configs/profiles`, or path of a folder with a Snakemake profile; it takes the
            place of `cores`.

    Raises:
        QsmbenchError: there is no such profile, or one with braces in the path of the results; the results folder is
            not writable, another run is using the study, or a chain to rerun is not in the study.
    """
    unknown = [chain for chain in rerun if chain not in study.chains]
    if unknown:
        raise QsmbenchError(f"--rerun {unknown[0]}: the study has no such chain; choose from {', '.join(study.chains)}")
    where = None if profile is None else profile_folder(profile)
    if where is not None and set("{}") & set(str(study.folder.absolute())):
        raise QsmbenchError(f"{study.folder}: --profile needs results in a folder without braces in its path")
    make_folder(study.folder)
    with _alone(study.folder):
        plan = Plan(study)
        _prepared[_key(study)] = plan
        waiting = plan.prepare(force=force, rerun=rerun)
        if waiting:
            _snakemake(plan, cores, where)
        return outcome(plan)


def _key(study: Study) -> str:
    return json.dumps(study.model_dump(mode="json"), sort_keys=True)


_warm: dict[str, WarmProcess] = {}  # by the folder of a study: the warm process of its jobs


def start_warm(plan: Plan) -> None:
    """Start the warm process that a study's jobs are forked from; it ends with this process at the latest."""
    if str(plan.folder) not in _warm:
        _warm[str(plan.folder)] = WarmProcess(plan.own_modules())


def _stop_warm(plan: Plan) -> None:
    started = _warm.pop(str(plan.folder), None)
    if started:
        started.stop()


def profile_folder(profile: str) -> Path:
    """Return the folder of a Snakemake profile: one of `configs/profiles`, or one of the user's own.

    Raises:
        QsmbenchError: there is no such profile, or what it needs is not installed.
    """
    own = data_dir() / "configs" / "profiles"
    found = next((p for p in (own / profile, Path(profile)) if (p / "config.yaml").is_file()), None)
    if found is None:
        names = sorted(p.name for p in own.iterdir() if p.is_dir())
        raise QsmbenchError(f"--profile {profile}: {suggest(profile, names)}, or a folder with a config.yaml")
    executor = read_yaml(found / "config.yaml").get("executor", "local")
    module = f"snakemake_executor_plugin_{str(executor).replace('-', '_')}"
    if executor not in ("local", "dryrun", "touch") and find_spec(module) is None:
        package = module.replace("_", "-")
        raise QsmbenchError(f"--profile {profile}: its executor {executor!r} is not installed; pip install {package}")
    return found


def _snakemake(plan: Plan, cores: int, profile: Path | None) -> None:
    """Run the jobs without a record. The records, not Snakemake, determine success."""
    start_warm(plan)  # while it gets ready, Snakemake reads the workflow
    here = Path.cwd()  # the workflow may leave it
    from snakemake.cli import args_to_api, parse_args
    from snakemake.exceptions import print_exception
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from qsmbench.study import progress

    progress.LogHandler.parallel = cores
    progress.LogHandler.history = plan.folder / ".durations.json"
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_qsmbench", progress)
    config = plan.folder / JOBS / "config.yaml"  # with what the command line overrides
    config.write_text(plan.config_text())
    arguments = ["--snakefile", str(data_dir() / "Snakefile"), "--configfile", str(config)]
    # its default scheduler solves a linear program each time that a job has ended
    arguments += ["--profile", str(profile)] if profile else ["--cores", str(cores), "--scheduler", "greedy"]
    # the records say what is done: Snakemake's own marks and locks, left by a run that was killed, would mislead it
    arguments += ["--ignore-incomplete", "--nolock", "--drop-metadata", "--keep-going", "--logger", "qsmbench"]
    try:
        parser, options = parse_args(arguments)
        # Snakemake's default limit of 100 jobs a second sets a timer each time that it looks for jobs to start, and
        # looks again when the timer ends: once a second more for every job that has finished, which fills a processor.
        limit = options.max_jobs_per_timespan
        if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
            options.max_jobs_per_timespan = None
        args_to_api(options, parser)
    except Exception as error:  # shown, like its failed jobs
        print_exception(error)
    except SystemExit:
        return
    finally:
        os.chdir(here)
        _stop_warm(plan)
        progress.LogHandler.parallel, progress.LogHandler.history = 1, None


def outcome(plan: Plan) -> Outcome:
    """Return the outcome of a study from its records."""
    found = Outcome()
    records = plan.records()
    for dataset in plan.datasets:
        scan = records[str(plan.scan(dataset))]
        if scan is None or not scan.ok:
            found.datasets[dataset] = "the job wrote no record" if scan is None else scan.reason
            continue
        for chain in plan.study.chains:
            last = records[str(plan.step(dataset, chain))]
            scores = records[str(plan.score(dataset, chain))]
            key = (dataset, chain)
            if last is None or scores is None:
                found.chains[key] = "missing: the job wrote no record"
            elif last.status == "skipped" and last.details.get("because", "skipped") not in BECAUSE_OF_FAILURE:
                found.skipped[key] = last.reason
            elif not last.ok:
                found.chains[key] = f"{last.status}: {last.reason}"
            elif not scores.ok:
                found.chains[key] = f"scoring {scores.status}: {scores.reason}"
    gathering = [p(d) for d in plan.datasets for p in (plan.common, plan.pictures)] + [plan.tables, plan.report]
    for path in gathering:
        record = records[str(path)]
        where = str(path.relative_to(plan.folder).with_suffix(""))
        if record is None or not record.ok:
            found.broken[where] = "the job wrote no record" if record is None else record.reason
        elif failed := record.details.get(FAILED_CHAINS):
            found.broken[where] = "; ".join(f"{chain}: {why}" for chain, why in failed.items())
    return found


_locks: list[Any] = []  # held as long as this process lives


def _hold(folder: Path) -> None:
    lock = _lock(folder)
    _locks.append(lock)


def _lock(folder: Path) -> Any:
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        lock.close()
        raise QsmbenchError(f"{folder}: another run is using this study; wait for it to finish, or stop it") from e
    return lock


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a study; the lock is released when this process ends in any way."""
    lock = _lock(folder)
    try:
        yield
    finally:
        lock.close()
