"""Job: a noise-free scan and a seed → a scan."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qsmbench import artifacts
from qsmbench.scan.noise import add_noise, sigma_for


def main(arguments: list[str]) -> None:
    """Run the job: the noise-free folder and the folder to write."""
    parser = argparse.ArgumentParser(prog="noise")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--snr", help="a number, or None for no noise")
    parser.add_argument("noisefree", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    noisy(args.noisefree, args.out, args.seed, None if args.snr == "None" else float(args.snr))


def noisy(noisefree: Path, out: Path, seed: int, snr: float | None) -> None:
    """Write the scan in `noisefree` to `out` with noise of `snr` (see `scan.noise.sigma_for`) from `seed`."""
    params = artifacts.read_params(noisefree)
    phase, magnitude, mask = (artifacts.read(noisefree, name, params.grid) for name in ("phase", "magnitude", "mask"))
    if snr is not None:
        signal = np.empty(phase.shape, np.complex64)
        signal.real, signal.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
        signal = add_noise(signal, sigma_for(snr, magnitude, mask), np.random.default_rng(seed))
        phase, magnitude = np.angle(signal), np.abs(signal)
    artifacts.write(out, {"phase": phase, "magnitude": magnitude, "mask": mask}, params.grid)
    artifacts.write_params(out, params)
