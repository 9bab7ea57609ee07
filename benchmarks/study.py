"""What a study costs beside its methods; `speed.py` prints it."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from qsmbench.paths import data_dir
from qsmbench.run.specs import read_record
from qsmbench.study import ask, config
from qsmbench.study.plan import Plan
from qsmbench.study.warm import WarmProcess

SPHERE = {"phantom": "sphere", "protocol": "brain-3t", "seeds": [0], "set": {"voxel_size": 8}}
STEPS = 20


def study_of(chains: list[str], methods: dict, place: Path) -> Path:
    """Write a study of the sphere; return its YAML."""
    content = {"study": "s", "datasets": [SPHERE], "chains": chains, "methods": methods, "results": str(place)}
    place.mkdir(parents=True, exist_ok=True)
    file = place / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def variants(count: int) -> dict:
    """Return truncated divisions with different thresholds, by name."""
    return {f"t{i}": {"use": "tkd", "set": {"threshold": 0.1 + i / 1e5}} for i in range(count)}


def step_overhead(place: Path) -> float:
    """CPU time of a step without that of its method [s]: what asks for it, the job, and the worker."""
    methods = variants(STEPS)
    plan = Plan(config.load(study_of([f"truth.{m}" for m in methods], methods, place)))
    plan.folder.mkdir(parents=True)
    jobs = plan.prepare()
    warm = WarmProcess(plan.own_modules())
    try:
        run([j for j in jobs if j.spec["kind"] in ("simulate", "noise")], plan)
        steps = [j for j in jobs if j.spec["kind"] == "step"]
        before = cpu_of(warm.pid)
        run(steps, plan)
        spent = cpu_of(warm.pid) - before
    finally:
        warm.stop()
    records = [read_record(Path(j.record)) for j in steps]
    methods_alone = sum(r.seconds for r in records if r and r.seconds)
    return (spent - methods_alone) / len(steps)


def run(jobs: list, plan: Plan) -> None:
    """Ask for jobs one after the other, as Snakemake does."""
    for job in jobs:
        command = [sys.executable, "-I", "-S", ask.__file__, str(plan.folder), job.record]
        subprocess.run(command, check=True, env={**os.environ, "QSMBENCH_THREADS": "1"})


def cpu_of(pid: int) -> float:
    """CPU time of a process and of its children that have ended, and of those of this process [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK") + own.ru_utime + own.ru_stime


def time_of_dag(place: Path) -> float:
    """Wall time of a dry run of a study of 1000 chains [s]."""
    methods = variants(1000)
    file = study_of([f"truth.{m}" for m in methods], methods, place / "dag")
    return timed(
        [*SNAKEMAKE, "--snakefile", str(data_dir() / "Snakefile"), "--configfile", str(file), "-n", "-q", "all"]
    )


SNAKEMAKE = [sys.executable, "-m", "snakemake"]


def time_of_quick(place: Path) -> float:
    """Time of the quick study [s], with the caches in `place`."""
    quick = str(data_dir() / "configs" / "quick.yaml")
    with tempfile.TemporaryDirectory(dir=place) as results:
        command = [sys.executable, "-m", "qsmbench.cli", "run", quick, "--cores", "2", "--results", results]
        return timed(command, caches(place))


def caches(place: Path) -> dict[str, str]:
    """Environment variables that keep all caches in a folder."""
    return {"QSMBENCH_CACHE": str(place / "cache"), "NUMBA_CACHE_DIR": str(place / "numba")}


def timed(command: list[str], more: dict[str, str] | None = None) -> float:
    """Wall time of a command [s]."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **(more or {})})
    return time.perf_counter() - start
