"""How the simulation of a whole head scales: seconds and peak memory against sub-voxels, each size in its own process.

    python benchmarks/head.py [--sizes 3,2 2,2 1.5,2 1,2 0.5,1] [--plot results/head.png]

A size is a voxel [mm] and how many sub-voxels it is cut into along each axis. Six echoes, written to disk as the
command writes them. Work that is linear but for the transforms' logarithm shows as a level line of time per sub-voxel.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import yaml
from usage import usage

from qsmbench.phantom.layers import ShapePhantom
from qsmbench.phantom.load import load
from qsmbench.scan.protocol import protocol_file

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def measured(voxel_size, supersampling, protocol, folder):
    """Wall seconds and peak GiB of one `qsmbench simulate`."""
    command = [sys.executable, "-m", "qsmbench.cli", "simulate", "head", str(folder), "--protocol", str(protocol)]
    command += ["--set", f"voxel_size={voxel_size}", "--set", f"supersampling={supersampling}"]
    took = usage(command)
    return took.wall, took.memory / 2**10


def six_echoes(folder):
    """The default protocol with its first six echoes, as a file."""
    content = yaml.safe_load(protocol_file("brain-3t").read_text())
    content["te"] = content["te"][:6]
    path = folder / "six.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def plot(rows, path):
    """Time and memory per sub-voxel against sub-voxels."""
    count = np.array([n for n, _, _ in rows]) / 1e6
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, values, label in zip(
        axes, np.array([r[1:] for r in rows]).T, ("time [s]", "peak memory [GiB]"), strict=True
    ):
        axis.loglog(count, values, "o-", label="measured")
        reference = count * np.log(count * 1e6)
        axis.loglog(count, values[-1] * reference / reference[-1], "--", color="grey", label="N log N")
        axis.set(xlabel="sub-voxels [million]", ylabel=label)
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main():
    """Measure, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["3,2", "2,2", "1.5,2", "1,2", "0.5,1"])
    parser.add_argument("--plot", type=Path, default=Path("results/head.png"))
    args = parser.parse_args()
    rows = []
    head = load("head")
    assert isinstance(head, ShapePhantom)
    print(f"{len(head.vessels)} veins, kept for all that follows")
    with tempfile.TemporaryDirectory() as folder:
        protocol = six_echoes(Path(folder))
        print("voxel  sub  million sub-voxels  seconds  peak GiB  µs per sub-voxel")
        for size in args.sizes:
            voxel_size, supersampling = float(size.split(",")[0]), int(size.split(",")[1])
            phantom = load("head", {"voxel_size": voxel_size, "supersampling": supersampling})
            n = int(np.prod(phantom.grid().refine(phantom.supersampling).shape))
            seconds, memory = measured(voxel_size, supersampling, protocol, Path(folder) / size)
            rows.append((n, seconds, memory))
            rate = seconds / n * 1e6
            print(f"{voxel_size:5g} {supersampling:4d} {n / 1e6:19.1f} {seconds:8.1f} {memory:9.2f} {rate:17.2f}")
    plot(rows, args.plot)


if __name__ == "__main__":
    main()
