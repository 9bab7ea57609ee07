"""Recompute some scans of a reference board and compare their scores with those that are kept.

    python benchmarks/board.py [--board results/board/head] [--scans 3] [--seed 0] [--cores 2] [CHAIN …]

The scans are drawn by the seed. All chains are run unless some are named. The exit code is 1 if a score differs by more
than rounding, or a scan is not that of the board.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from qsmbench.analysis.results import read_study
from qsmbench.data.score_table import RUN_ROWS
from qsmbench.gate.board import joined
from qsmbench.gate.margins import read_margins
from qsmbench.study import workflow
from qsmbench.study.config import load

KEY = ["dataset", "chain", "artifact", "metric", "support"]


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
    kept = read_study(board).scores
    pairs = new.astype(dict.fromkeys(KEY, str)).merge(
        kept.astype(dict.fromkeys(KEY, str)), on=KEY, suffixes=("", "_kept"), how="left"
    )
    pairs = pairs[pairs["value"].notna()]
    scale = np.maximum(pairs["value_kept"].abs(), 1e-3)
    return pairs.assign(difference=((pairs["value"] - pairs["value_kept"]).abs() / scale).fillna(np.inf))


def some_groups(board, scans, seed):
    """Return the names of some groups of scans of a board, drawn by a seed."""
    groups = sorted(set(map(str, read_study(board).factors["group"])))
    return np.random.default_rng(seed).permutation(groups)[:scans].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", nargs="*")
    parser.add_argument("--board", type=Path, default=Path("results/board/head"))
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    chosen = some_groups(args.board, args.scans, args.seed)
    pairs = compared(args.board, chosen, args.chains, args.cores)
    worst = pairs.loc[pairs["difference"].idxmax()]
    largest = worst["difference"]
    print(f"scans: {', '.join(chosen)}; {len(pairs)} scores; largest relative difference {largest:.2g}")
    print(f"  {worst['dataset']} {worst['chain']} {worst['metric']}: {worst['value']} for {worst['value_kept']}")
    sys.exit(int(largest > read_margins().rounding.value))


if __name__ == "__main__":
    main()
