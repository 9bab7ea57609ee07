"""Write `configs/durations.csv`, from which `qsmbench plan` estimates a study: costs of every job per million voxels.

    qsmbench run configs/methods.yaml --cores 1
    python benchmarks/durations.py results/methods

Steps, scores and pictures are read from the records of the study. The simulation of its phantom is run again, once
all loops are compiled, to measure its time and memory.
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
from qsmbench.study.estimate import BASE_MEMORY, DURATIONS, recorded


def simulation(study, voxels):
    """Seconds and MiB of a simulation, per million voxels."""
    source = study.sources[0]
    options = [o for k, v in source.set.items() for o in ("--set", f"{k}={v}")]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "qsmbench.cli", "simulate", source.phantom, folder]
        command += ["--protocol", source.protocol, *options]
        usage(command)  # compiles loops, and keeps the phantom
        took = usage(command)
    return {"seconds": took.wall / voxels, "memory": (took.memory - BASE_MEMORY) / voxels}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a study with one dataset and all methods")
    folder = parser.parse_args().folder
    study = load(folder / "config.yaml")
    x, y, z = read_params(folder / f"{study.sources[0].group}_seed-0" / "scan").grid.shape
    rows = pd.DataFrame.from_dict(recorded(folder), orient="index", columns=["seconds", "memory", "disk"])
    measured = simulation(study, x * y * z / 1e6)
    for name, value in measured.items():
        rows.loc["simulate", name] = value
    rows.rename_axis("job").sort_index().round(3).to_csv(data_dir() / DURATIONS)


if __name__ == "__main__":
    main()
