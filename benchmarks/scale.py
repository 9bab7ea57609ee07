"""What studies of many scans cost: planning by measurement, everything else from recorded durations.

    python benchmarks/scale.py [--chains 20] [--scans 10 100 1000] [--measure 100]

For each number of scans, of a head at 1.5 mm: processor time of planning and of Snakemake's view of the jobs, on one
machine (a job for each step) and on a cluster (a job for each scan), and the estimates of `qsmbench plan`. Planning is
measured up to `--measure` scans. Prints a Markdown table.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from qsmbench.paths import data_dir
from qsmbench.study.config import parse
from qsmbench.study.estimate import estimate
from qsmbench.study.plan import Plan

INVERSIONS = ["tkd", "tsvd", "l2", "cgls", "rts", "ilsqr", "star", "tv", "tgv", "nltv", "nltgv", "l1_qsm", "hd_qsm"]
BACKGROUNDS = ["vsharp", "pdf", "lbv", "resharp"]


def study(n_scans, n_chains, results):
    chains = [f"romeo.fit.{b}.{i}" for b in BACKGROUNDS for i in INVERSIONS][:n_chains]
    over = {"subject": list(range(1, n_scans + 1))}
    head = {"phantom": "head", "protocol": "brain-3t", "set": {"voxel_size": 1.5}, "over": over}
    return {"study": f"scale-{n_scans}", "datasets": [head], "chains": chains, "results": str(results)}


def snakemake_seconds(config, *arguments):
    """Processor time of a dry run, s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(data_dir() / "Snakefile")]
    command += ["--configfile", str(config), "--dry-run", "--quiet", "all", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--scans", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--measure", type=int, default=100)
    args = parser.parse_args()
    print("| scans | jobs | plan [s] | DAG, one machine [s] | DAG, cluster [s] | core hours | disk [GiB] |")
    print("|---|---|---|---|---|---|---|")
    for n in args.scans:
        with tempfile.TemporaryDirectory() as folder:
            content = study(n, args.chains, folder)
            start = time.process_time()
            plan = Plan(parse(content, "scale"))
            plan.folder.mkdir(parents=True)
            plan.prepare()
            planned = time.process_time() - start
            found = estimate(plan, 1)
            dag = ["", ""]
            if n <= args.measure:
                config = Path(folder, "config.yaml")
                config.write_text(yaml.safe_dump(content))
                ways = (["--cores", "2"], ["--executor", "slurm", "--jobs", "100"])
                dag = [f"{snakemake_seconds(config, *way) - planned:.1f}" for way in ways]
            cells = [
                n,
                found.counts["jobs"],
                f"{planned:.1f}",
                *dag,
                f"{found.seconds / 3600:.1f}",
                f"{found.disk / 1024:.1f}",
            ]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
