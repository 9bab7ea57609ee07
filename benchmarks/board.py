"""Recompute some scans of a reference board and compare their scores with those that are kept.

    python benchmarks/board.py [--board results/board/head] [--scans 3] [--seed 0] [--cores 2] [CHAIN …]
    python benchmarks/board.py --changed

The second command prints the chains whose code has changed since their rows were made, as options of `qsmbench run`.

The scans are drawn by the seed. All chains are run unless some are named. The exit code is 1 if a score differs by more
than rounding, or a scan is not that of the board.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from qsmbench.analysis.results import read_study
from qsmbench.data.folders import read_json
from qsmbench.data.score_table import RUN_ROWS
from qsmbench.gate.board import RUNS_FILE, differences, digest_of, joined
from qsmbench.gate.margins import read_margins
from qsmbench.run.specs import prefixes
from qsmbench.study import workflow
from qsmbench.study.config import load
from qsmbench.study.plan import Plan


def recompute(board, groups, chains, cores, folder):
    """Run some groups of the board's study in a folder, and return the path of the study."""
    study = load(board / "config.yaml", {"results": folder, **({"chains": chains} if chains else {})})
    chosen = [s for s in study.sources if s.group in groups]
    study = study.model_copy(update={"datasets": chosen})
    study.__dict__.pop("sources", None)
    outcome = workflow.run(study, cores=cores)
    if not outcome.complete:
        sys.exit(f"failed: {outcome}")
    return study.folder


def compared(board, groups, chains=(), cores=2):
    """Return the recomputed scores of some groups beside those of the board, with their relative difference.

    A score that the board lacks differs infinitely.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = read_study(recompute(board, groups, chains, cores, folder))
        joined(own, board)  # refuses other scans
        new = own.scores
    new = new[(new["region"] == "") & (new["support"] == "study") & ~new["metric"].isin(RUN_ROWS)]
    return differences(new[new["value"].notna()], read_study(board).scores)


def some_groups(board, scans, seed):
    """Return the names of some groups of scans of a board, drawn by a seed."""
    groups = sorted(set(map(str, read_study(board).factors["group"])))
    return np.random.default_rng(seed).permutation(groups)[:scans].tolist()


def changed(board):
    """Return the chains of a board whose code, or whose settings, are not those that its rows were made by."""
    plan = Plan(load(board / "config.yaml"))
    dataset = next(iter(plan.datasets))
    steps = {job.spec["chain"]: (job.code["code"], job.settings) for job in plan.jobs() if is_step_of(job, dataset)}
    made = {c: code for run in read_json(board / RUNS_FILE)["runs"] for c, code in run["chains"].items()}
    return [c for c in plan.study.chains if made.get(c) != digest_of(steps[p] for p in prefixes(c))]


def is_step_of(job, dataset):
    """Whether a job is a step of a chain on a dataset."""
    return job.name.startswith(f"step {dataset} ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", nargs="*")
    parser.add_argument("--board", type=Path, default=Path("results/board/head"))
    parser.add_argument("--changed", action="store_true", help="only list the chains whose code has changed")
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    if args.changed:
        print(" ".join(f"--chain {c}" for c in changed(args.board)) or "no chain has changed")
        return
    chosen = some_groups(args.board, args.scans, args.seed)
    pairs = compared(args.board, chosen, args.chains, args.cores)
    worst = pairs.loc[pairs["difference"].idxmax()]
    largest = worst["difference"]
    print(f"scans: {', '.join(chosen)}; {len(pairs)} scores; largest relative difference {largest:.2g}")
    print(f"  {worst['dataset']} {worst['chain']} {worst['metric']}: {worst['value']} for {worst['value_kept']}")
    sys.exit(int(largest > read_margins().rounding.value))


if __name__ == "__main__":
    main()
