"""Job: a noise-free scan and a seed → a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmbench.data import folders
from qsmbench.run.specs import NoiseSpec
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received


def run(spec: NoiseSpec, out: Path) -> None:
    """Write the scan below `out`, in the folder `scan`."""
    protocol = load_protocol(spec.protocol, spec.set_protocol)
    for i, orientation in enumerate(spec.orientations):
        place = folders.orientation_folder(i)
        noisy(protocol, Path(spec.noisefree) / place, out / "scan" / place, spec.seed, orientation)


def noisy(protocol: Protocol, noisefree: Path, out: Path, seed: int, orientation: int = 0) -> None:
    """Apply the protocol's receiver to the scan in `noisefree`, with noise from `seed`, and write it to `out`."""
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
