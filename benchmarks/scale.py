"""What studies of many scans cost, on few and on many processors, and where they break first.

    python benchmarks/scale.py [--chains 20] [--measure 20 80] [--scans 10 1000 100000] [--cores 2 64 1000]

Scans are of a head at 1.5 mm, each of another subject, with 20 chains. What runs once for the whole study (the plan,
Snakemake's view of it, the tables, the report) is measured at two numbers of scans on this machine, in processor time,
and continued as a line. What runs for each scan is added up from recorded durations (`configs/durations.csv`). Nothing
is simulated or reconstructed. Prints Markdown.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from report import invent, measured
from usage import usage

from qsmbench.paths import data_dir
from qsmbench.study.config import parse
from qsmbench.study.estimate import BASE_MEMORY, OVERHEAD, cost_of, known_costs, millions_of_voxels
from qsmbench.study.plan import Plan

INVERSIONS = ["tkd", "tsvd", "l2", "cgls", "rts", "ilsqr", "star", "tv", "tgv", "nltv", "nltgv", "l1_qsm", "hd_qsm"]
BACKGROUNDS = ["vsharp", "pdf", "lbv", "resharp"]

JOB_CORES = 8
"""Processors of a job of a cluster, as in configs/profiles/slurm."""

ONE_MACHINE = 8
"""Processors up to which a study is assumed to run on one machine, without a cluster."""

START = 10.0
"""Time from the end of a job of a cluster to the first work of the next [s]: queue, Python, libraries; assumed."""

MEMORY = 64 * 1024
"""Memory of the machine that plans, and of a job [MiB]; assumed."""

DAY = 24 * 3600


@dataclass(frozen=True)
class Line:
    """A cost that grows with the number of scans."""

    fixed: float
    per_scan: float

    @classmethod
    def through(cls, scans, values):
        """Return the line through two measurements; a negative fixed part is noise."""
        slope = (values[1] - values[0]) / (scans[1] - scans[0])
        return cls(max(values[0] - slope * scans[0], 0.0), slope)

    def at(self, scans):
        """Return the cost of a number of scans."""
        return self.fixed + self.per_scan * scans

    def scans_for(self, limit):
        """Return the number of scans at which the cost reaches a limit."""
        return (limit - self.fixed) / self.per_scan


@dataclass(frozen=True)
class Scan:
    """What one scan costs, from recorded durations.

    Attributes:
        simulation: seconds of one processor.
        chains: seconds of one processor of all further jobs of the scan.
        longest: seconds of the longest of them.
        memory: of the largest job, MiB.
        disk: MiB.
        jobs: number of jobs.
    """

    simulation: float
    chains: float
    longest: float
    memory: float
    disk: float
    jobs: int


def study(n_scans, n_chains, results):
    """The description of a study."""
    chains = [f"romeo.fit.{b}.{i}" for b in BACKGROUNDS for i in INVERSIONS][:n_chains]
    over = {"subject": list(range(1, n_scans + 1))}
    head = {"phantom": "head", "protocol": "brain-3t", "set": {"voxel_size": 1.5}, "over": over}
    return {"study": f"scale-{n_scans}", "datasets": [head], "chains": chains, "results": str(results)}


def of_scan(n_chains):
    """Add up what one scan costs."""
    plan = Plan(parse(study(1, n_chains, "."), "scale"))
    (source,) = (d.source for d in plan.datasets.values())
    costs, voxels = known_costs(plan), millions_of_voxels(source)
    steps = [cost_of(s.use.method, costs)[0] for s in plan.steps.values()]
    each = [costs[kind] for kind in ("score", "common", "pictures") for _ in plan.study.chains]
    further = [costs["noise"], *steps, *each]
    seconds = [c.seconds * voxels for c in further]
    return Scan(
        simulation=costs["simulate"].seconds * voxels,
        chains=sum(seconds) + OVERHEAD * len(further),
        longest=max(seconds),
        memory=BASE_MEMORY + voxels * max(c.memory for c in (costs["simulate"], *further)),
        disk=voxels * sum(c.disk for c in (costs["simulate"], *further)),
        jobs=len(steps) + len(plan.study.chains) + 4,
    )


def once(scans, n_chains):
    """Measure what runs once: name → (seconds of one processor, peak MiB), and the files and jobs of the study."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        content = study(scans, n_chains, folder)
        start = time.process_time()
        plan = Plan(parse(content, "scale"))
        plan.folder.mkdir(parents=True)
        jobs = plan.prepare()
        planning = time.process_time() - start
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump(content))
        for name, way in (("machine", ("--cores", "2")), ("cluster", ("--executor", "slurm", "--jobs", "100"))):
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(data_dir() / "Snakefile")]
            took = usage([*command, "--configfile", str(config), "--dry-run", "--quiet", "all", *way])
            found[name] = (took.processor + planning, took.memory)  # the study is planned, and then again by Snakemake
        files = sum(len(job.targets) + 2 for job in jobs)  # a record and a specification
        tables, report = invent(Path(folder, "invented"), scans, n_chains, 1)
        for name, job in (("tables", tables), ("report", report)):
            took = measured(job)
            found[name] = (took.processor, took.memory)
    return found, files, len(jobs)


def hours(seconds):
    """Format a duration."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 3 * DAY else f"{seconds / DAY:.0f} d"


def amount(mib):
    """Format a number of MiB."""
    for unit, size in (("TiB", 2**20), ("GiB", 2**10)):
        if mib >= size:
            return f"{mib / size:.1f} {unit}" if mib < 100 * size else f"{mib / size:.0f} {unit}"
    return f"{mib:.0f} MiB"


def parallel(scan, scans, cores):
    """Time of all simulations and chains [s], a simulation on one processor."""
    if cores <= ONE_MACHINE:
        return max((scan.simulation + scan.chains) * scans / cores, scan.simulation + scan.longest)
    rounds = np.ceil(scans / (cores // JOB_CORES))
    return rounds * (scan.simulation + scan.chains / JOB_CORES + scan.longest + 2 * START)


def main():
    """Measure, add up and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--measure", type=int, nargs=2, default=[20, 80], metavar=("FEW", "MORE"))
    parser.add_argument("--scans", type=int, nargs="+", default=[10, 1000, 100_000])
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 64, 1000])
    args = parser.parse_args()
    scan = of_scan(args.chains)
    print(
        f"A scan: {scan.simulation:.0f} s of simulation, {scan.chains:.0f} s of {args.chains} chains, on one processor;"
    )
    print(f"{amount(scan.disk)} on disk; {scan.jobs} jobs, the largest with {amount(scan.memory)}.\n")
    runs = [once(n, args.chains) for n in args.measure]
    lines = {
        name: [Line.through(args.measure, [run[0][name][k] for run in runs]) for k in (0, 1)] for name in runs[0][0]
    }
    files = Line.through(args.measure, [run[1] for run in runs])
    print("| once for the study | time, fixed | for each scan | memory, fixed | for each scan | 64 GiB at |")
    print("|---|---|---|---|---|---|")
    for name, (seconds, memory) in lines.items():
        cells = [f"{seconds.fixed:.1f} s", f"{1000 * seconds.per_scan:.0f} ms", f"{memory.fixed:.0f} MiB"]
        cells += [f"{memory.per_scan:.2f} MiB", f"{memory.scans_for(MEMORY):,.0f} scans"]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nFiles: {files.per_scan:.0f} for each scan.\n")
    heads = "scans", "cores", "plan", "scans and chains", "tables, report", "in all", "disk"
    print(f"| {' | '.join([*heads, 'memory to plan', 'of tables, report'])} |\n{'|---' * 9}|")
    for n in args.scans:
        for cores in args.cores:
            plan = lines["machine" if cores <= ONE_MACHINE else "cluster"]
            end, most = (f(lines[name][k].at(n) for name in ("tables", "report")) for k, f in ((0, sum), (1, max)))
            parts = [plan[0].at(n), parallel(scan, n, cores), end]
            cells = [f"{n:,}", f"{cores:,}", *map(hours, [*parts, sum(parts)]), amount(scan.disk * n)]
            cells += [amount(plan[1].at(n)), amount(most)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
