"""Job: a noise-free scan and a seed → a scan."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from qsmbench.data import folders
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs.simulate import folder_of


def main(arguments: list[str]) -> None:
    """Run the job: SPEC (a `Simulated` as JSON), the noise-free folder and the folder to write."""
    parser = argparse.ArgumentParser(prog="noise")
    parser.add_argument("--seed", type=int)
    parser.add_argument("spec", type=json.loads)
    parser.add_argument("noisefree", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    source = Simulated.model_validate(args.spec)
    protocol = load_protocol(source.protocol, source.set_protocol)
    for i, orientation in enumerate(source.orientations(protocol)):
        noisy(protocol, args.noisefree / folder_of(i), args.out / folder_of(i), args.seed, orientation)


def noisy(protocol: Protocol, noisefree: Path, out: Path, seed: int, orientation: int = 0) -> None:
    """Write the scan in `noisefree` to `out` as the protocol's receiver delivers it, with noise from `seed`."""
    params, receiver = folders.read_params(noisefree), folders.read_json(noisefree / folders.RECEIVER_FILE)
    phase, magnitude, mask = (folders.read(noisefree, name, params.grid) for name in ("phase", "magnitude", "mask"))
    if receiver["sigma"] or protocol.coils:
        signal = np.empty(phase.shape, np.complex64)
        signal.real, signal.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
        isocentre = tuple(receiver["isocentre"])
        signal = received(signal, protocol, params.grid, isocentre, receiver["sigma"], seed, orientation)
        phase, magnitude = np.angle(signal), np.abs(signal)
    mask = acquired(protocol.mask, mask, magnitude, params.grid)
    folders.write(out, {"phase": phase, "magnitude": magnitude, "mask": mask}, params.grid)
    folders.write_params(out, params)
