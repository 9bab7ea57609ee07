"""What the scores and pictures of a chain cost: CPU seconds of the jobs score, common and pictures.

    python benchmarks/scoring.py [--voxel-size 1.5] [--repeat 3] [CHAIN …]

Simulates a head at 3 T and runs the chains; both are kept below results/benchmarks/. Of each job, in a process of its
own: its imports, its first run, which loads the rest of its libraries and the compiled loops, and the least of the
runs after it, all by chain. CPU time is that of all threads; a study runs these jobs on one, and so does this.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from qsmbench.run.specs import CommonSpec, PicturesSpec, ScoreSpec

OUT = Path("results/benchmarks")
CHAINS = ["zero", "truth.tkd", "truth.vsharp", "romeo.fit", "romeo.fit.vsharp.tkd", "romeo.fit.vsharp.l2"]


def prepare(voxel_size, names):
    """Simulate the head, run the chains, and return the specifications of their scores; what is there is kept."""
    from qsmbench.run import chains, step
    from qsmbench.run.chains import Limits, Places
    from qsmbench.study.datasets import Simulated
    from qsmbench.study.simulate import simulated

    folder = (OUT / f"scored-head-{voxel_size:g}").resolve()
    if not (folder / "scan" / "params.json").is_file():
        simulated(Simulated(phantom="head", protocol="brain-3t", set={"voxel_size": voxel_size}), folder)
    places = Places(folder / "chains", folder / "scan", folder / "truth")
    specs = []
    for name in names:
        steps = chains.steps(name)
        for s in steps:
            if not (places.of(s.chain) / "run.json").is_file():
                record = step.run(s.spec(places, Limits(3600), orientations=[], each=False))
                if not record.ok:
                    raise SystemExit(f"{s.chain}: {record.status}: {record.reason}")
        specs.append(chains.score_spec(steps[-1], places, "head").to_json())
    return specs


def measured(job, specs, repeat):
    """Run a job in this process; return CPU seconds of its imports, of its first run, and the least of those after."""
    start = time.process_time()
    run = import_module(f"qsmbench.study.jobs.{job}").run
    imports = time.process_time() - start
    kinds = {"common": CommonSpec, "pictures": PicturesSpec}
    tasks = [kinds[job](specs)] if job in kinds else [ScoreSpec.from_json(s, "score") for s in specs]
    seconds: list[float] = []
    for _ in range(1 + repeat):
        start = time.process_time()
        for task in tasks if seconds else tasks[-1:]:  # the first time, one task: so a study runs it
            with tempfile.TemporaryDirectory() as folder:
                run(task, Path(folder))
        done = len(specs) if job in kinds or seconds else 1
        seconds.append((time.process_time() - start) / done)
    return imports, seconds[0], min(seconds[1:])


def in_a_process(job, specs, repeat):
    """Run `measured` in a process of its own, on one thread."""
    command = [sys.executable, __file__, "--job", job, "--repeat", str(repeat)]
    environment = {**os.environ, "QSMBENCH_THREADS": "1"}
    done = subprocess.run(
        command, input=json.dumps(specs), stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return json.loads(done.stdout)


def main():
    """Prepare, measure each job in its own process, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chains", nargs="*", metavar="CHAIN", default=CHAINS)
    parser.add_argument("--voxel-size", type=float, default=1.5, help="mm")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(measured(args.job, json.load(sys.stdin), args.repeat)))
        return
    specs = prepare(args.voxel_size, args.chains or CHAINS)
    print(f"CPU seconds by chain, {len(specs)} chains at {args.voxel_size:g} mm")
    print("job       imports  first run  further runs")
    for job in ("score", "common", "pictures"):
        imports, first, further = in_a_process(job, specs, args.repeat)
        print(f"{job:9s} {imports:7.2f} {first:10.2f} {further:13.2f}")


if __name__ == "__main__":
    main()
