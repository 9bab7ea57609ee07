"""Write `configs/durations.csv`, from which `qsmbench plan` estimates a study: costs of every job per million voxels.

    qsmbench run configs/methods.yaml --cores 1
    python benchmarks/durations.py results/methods
    python benchmarks/durations.py results/board-abdomen --new

Steps, scores and pictures are read from the records of the study; other rows are kept. The simulation of its phantom is
run again, once all loops are compiled, to measure its time and memory. With `--new`, only methods without a row are
added.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd
from usage import usage

from qsmbench.data.folders import read_params
from qsmbench.paths import data_dir
from qsmbench.study.config import load
from qsmbench.study.datasets import Measured
from qsmbench.study.estimate import BASE_MEMORY, DURATIONS, recorded


def simulation_of(folder):
    """Seconds and MiB of a simulation of the phantom of a study, per million voxels."""
    source = load(folder / "config.yaml").sources[0]
    if isinstance(source, Measured):
        raise SystemExit(f"{folder}: holds a scan that was not simulated; give a study of a phantom")
    x, y, z = read_params(folder / f"{source.group}_seed-0" / "scan").grid.shape
    voxels = x * y * z / 1e6
    options = [o for k, v in source.set.items() for o in ("--set", f"{k}={v}")]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "qsmbench.cli", "simulate", source.phantom, out]
        command += ["--protocol", source.protocol, *options]
        usage(command)  # compiles loops, and keeps the phantom
        took = usage(command)
    return {"seconds": took.wall / voxels, "memory": (took.memory - BASE_MEMORY) / voxels}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a study with one dataset and all methods")
    parser.add_argument("--new", action="store_true", help="keep all rows, and add those of further methods")
    options = parser.parse_args()
    table, folder = data_dir() / DURATIONS, options.folder
    rows = pd.read_csv(table, index_col="job")
    found = pd.DataFrame.from_dict(recorded(folder), orient="index", columns=["seconds", "memory", "disk"])
    if options.new:
        rows = rows.combine_first(found)
    else:
        rows = found.combine_first(rows)
        for name, value in simulation_of(folder).items():
            rows.loc["simulate", name] = value
    rows[found.columns].rename_axis("job").sort_index().round(3).to_csv(table)


if __name__ == "__main__":
    main()
