"""Write `configs/durations.csv`, from which `qsmbench plan` estimates a study: costs of every job per million voxels.

    qsmbench run configs/methods.yaml --cores 1
    python benchmarks/durations.py results/methods

Steps, scores and pictures are read from the records of the study. The simulation of its phantom is run again, once
all loops are compiled, to measure its time and memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from qsmbench.data.folders import read_params
from qsmbench.paths import data_dir
from qsmbench.study.config import load
from qsmbench.study.estimate import BASE_MEMORY, DURATIONS, recorded


def simulation(study, voxels):
    """Seconds and MiB of a simulation, per million voxels."""
    source = study.sources[0]
    options = [o for k, v in source.set.items() for o in ("--set", f"{k}={v}")]
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "qsmbench.cli", "simulate", source.phantom, folder, "--protocol", source.protocol, *options]
        for _ in range(2):
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"the simulation ended with {status}")
    return {"seconds": seconds / voxels, "memory": (usage.ru_maxrss / 2**10 - BASE_MEMORY) / voxels}


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
