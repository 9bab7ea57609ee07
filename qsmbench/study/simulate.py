"""One simulated scan outside a study: `qsmbench simulate`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.bids import write_megre, write_truth
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.memory import check_memory
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import Simulation, simulate
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs.simulate import save
from qsmbench.study.tuned import SOURCE_FILE


def simulated(source: Simulated, out: Path, *, bids: bool = False) -> None:
    """Simulate a scan, with noise of the first seed, as `out`/scan and `out`/truth, or as a BIDS dataset.

    If the protocol has several orientations and `source` selects none, all are written: the further ones to
    orientation-<index> in both folders, or as BIDS datasets `out`/orientation-<index>.
    """
    what = described(source)
    check_memory(what.phantom, what.protocol)
    folders.make_folder(out)
    _remove_old(out)
    for i, simulation in enumerate(scans(what)):
        if bids:
            several = len(what.orientations) > 1
            _save_bids(simulation, source, what.protocol, out / f"orientation-{i}" if several else out)
            continue
        scan, truth = (out / name / folders.orientation_folder(i) for name in ("scan", "truth"))
        save(simulation, what.phantom, scan, truth, mask=scan_mask(simulation, what.protocol))
    if not bids:
        folders.write_json(out / "truth" / SOURCE_FILE, source.scans()[0])


@dataclass(frozen=True)
class Described:
    """A scan to simulate: a phantom, a protocol, indices of the protocol's orientations, and the seed of the noise."""

    phantom: Phantom
    protocol: Protocol
    orientations: list[int]
    seed: int


def described(source: Simulated) -> Described:
    """Load the phantom and the protocol of `source`, with all orientations unless it selects one.

    Raises:
        QsmbenchError: no such phantom, protocol or key, or an invalid value.
    """
    protocol = load_protocol(source.protocol, source.set_protocol)
    chosen = source if source.orientation is not None else source.model_copy(update={"orientation": "all"})
    return Described(load(source.phantom, source.set), protocol, chosen.orientations(protocol), source.seeds[0])


def scans(what: Described) -> Iterator[Simulation]:
    """Simulate each orientation, including the receiver and the noise.

    Raises:
        QsmbenchError: see `scan.simulate.simulate`.
    """
    for orientation in what.orientations:
        simulation = simulate(what.phantom, what.protocol, orientation)
        grid, isocentre, sigma = simulation.params.grid, simulation.geometry.isocentre, simulation.sigma
        signal, seed = simulation.signal, what.seed
        simulation.signal = received(signal, what.protocol, grid, isocentre, sigma, seed, orientation)
        yield simulation


def scan_mask(simulation: Simulation, protocol: Protocol) -> np.ndarray:
    """Return the mask of a scan with noise, (nx, ny, nz) bool.

    Raises:
        QsmbenchError: it is empty.
    """
    choice = protocol.mask
    if choice.of == "truth" and not choice.erode and not choice.holes:
        return simulation.mask  # without the magnitude of a large scan
    return acquired(choice, simulation.mask, np.abs(simulation.signal), simulation.params.grid)


def _remove_old(out: Path) -> None:
    """Remove the files of an earlier simulation, which may have had more orientations or other truth maps."""
    for folder in (out / "scan", out / "truth"):
        for turned in folder.glob("orientation-*"):
            shutil.rmtree(turned)
        for name in folders.present(folder):
            (folder / ARTIFACTS[name].file).unlink()


def sequence(protocol: Protocol) -> dict[str, Any]:
    """Return what `write_megre` tells of a protocol."""
    return {"tr": protocol.tr, "flip_angle": protocol.flip_angle, "two_dimensional": protocol.slices is not None}


def _save_bids(simulation: Simulation, source: Simulated, protocol: Protocol, out: Path) -> None:
    magnitude = np.abs(simulation.signal)
    phase, name = np.angle(simulation.signal), f"{source.phantom} {source.protocol}"
    write_megre(out, phase, magnitude, simulation.params, name=name, **sequence(protocol))
    truth = out / "derivatives" / "truth"
    write_truth(truth, simulation.truth, simulation.mask, magnitude[..., 0], simulation.params, simulation.regions)
