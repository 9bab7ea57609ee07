"""Job: a phantom and a protocol → `noisefree/` and `truth/`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from qsmbench.data import folders
from qsmbench.data.bids import write_megre, write_truth
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, write_provenance
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import Simulation, simulate
from qsmbench.study.datasets import Simulated
from qsmbench.study.tuned import SOURCE_FILE

NOISEFREE = "noisefree"


def main(arguments: list[str]) -> None:
    """Run the job: SPEC (a `Simulated` as JSON) and the folder to write below."""
    parser = argparse.ArgumentParser(prog="simulate")
    parser.add_argument("spec", type=json.loads)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    source = Simulated.model_validate(args.spec)
    protocol = load_protocol(source.protocol, source.set_protocol)
    phantom = load(source.phantom, source.set)
    for i, orientation in enumerate(source.orientations(protocol)):
        scan, truth = (args.out / name / folder_of(i) for name in (NOISEFREE, "truth"))
        simulation = simulate(phantom, protocol, orientation)
        save(simulation, phantom, scan, truth)
        receiver = {"sigma": simulation.sigma, "isocentre": list(simulation.place.isocentre)}
        folders.write_json(scan / folders.RECEIVER_FILE, receiver)


def folder_of(i: int) -> str:
    """Where the i-th orientation of a scan lies within the folder of the first."""
    return f"orientation-{i}" if i else ""


def save(simulation: Simulation, phantom: Phantom, scan: Path, truth: Path, *, mask: np.ndarray | None = None) -> None:
    """Write a simulation as two artifact folders, of what is measured and of what is true.

    The truth has the mask and the parameters, too, so that a map from elsewhere can be scored against it alone; and
    what it rests on.

    Args:
        simulation: what to write; its truth is used up, since a large scan leaves no room for both.
        phantom: what was simulated.
        scan: folder of the scan.
        truth: folder of the truth.
        mask: (nx, ny, nz) bool, of the scan; None: the true one.
    """
    grid = simulation.params.grid
    for name in list(simulation.truth):
        folders.write(truth, {name: simulation.truth.pop(name)}, grid)
    folders.write(truth, {"mask": simulation.mask}, grid)
    folders.write_params(truth, simulation.params)
    folders.write(scan, {"mask": simulation.mask if mask is None else mask}, grid)
    for name, part in (("phase", np.angle), ("magnitude", np.abs)):  # in turn, to save memory
        folders.write(scan, {name: part(simulation.signal)}, grid)
    folders.write_params(scan, simulation.params)
    folders.write_regions(truth / folders.REGIONS_FILE, simulation.regions)
    write_provenance(truth / PROVENANCE_FILE, phantom.basis(simulation.params.b0))
    scenario = {"scenario": phantom.name, **phantom.case.told()} if phantom.case else {}
    folders.write_json(truth / SCENARIO_FILE, scenario)


def simulated(source: Simulated, out: Path, *, bids: bool = False) -> None:
    """Simulate a scan, with noise of the first seed, as `out`/scan and `out`/truth, or as a BIDS dataset.

    Where the protocol has several orientations and `source` names none, all are written: the further ones to
    orientation-<index> within either folder, or as BIDS datasets `out`/orientation-<index>.
    """
    folders.make_folder(out)
    protocol = load_protocol(source.protocol, source.set_protocol)
    phantom = load(source.phantom, source.set)
    chosen = source if source.orientation is not None else source.model_copy(update={"orientation": "all"})
    orientations = chosen.orientations(protocol)
    for i, orientation in enumerate(orientations):
        simulation = simulate(phantom, protocol, orientation)
        grid, isocentre, sigma = simulation.params.grid, simulation.place.isocentre, simulation.sigma
        seed = source.seeds[0]
        simulation.signal = received(simulation.signal, protocol, grid, isocentre, sigma, seed, orientation)
        if bids:
            several = len(orientations) > 1
            _save_bids(simulation, source, protocol, out / f"orientation-{i}" if several else out)
            continue
        choice, mask = protocol.mask, None
        if choice.of != "truth" or choice.erode or choice.holes:
            mask = acquired(choice, simulation.mask, np.abs(simulation.signal), grid)
        save(simulation, phantom, out / "scan" / folder_of(i), out / "truth" / folder_of(i), mask=mask)
    if not bids:
        folders.write_json(out / "truth" / SOURCE_FILE, source.scans()[0])


def _save_bids(simulation: Simulation, source: Simulated, protocol: Protocol, out: Path) -> None:
    magnitude = np.abs(simulation.signal)
    phase, name = np.angle(simulation.signal), f"{source.phantom} {source.protocol}"
    write_megre(out, phase, magnitude, simulation.params, name=name, tr=protocol.tr, flip_angle=protocol.flip_angle)
    truth = out / "derivatives" / "truth"
    write_truth(truth, simulation.truth, simulation.mask, magnitude[..., 0], simulation.params, simulation.regions)
