"""Job: a phantom and a protocol → `noisefree/` and `truth/`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from qsmbench import artifacts
from qsmbench.basis import BASIS_FILE, SCENARIO_FILE, write_basis
from qsmbench.bids import write_megre, write_truth
from qsmbench.config import Simulated
from qsmbench.phantom import Phantom, load
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import Simulation, simulate

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
    save(simulate(phantom, protocol, source.orientation or 0), phantom, args.out)


def save(
    simulation: Simulation, phantom: Phantom, out: Path, *, scan: str = NOISEFREE, mask: np.ndarray | None = None
) -> None:
    """Write a simulation as the artifact folders `out`/`scan` and `out`/truth.

    The truth has the mask and the parameters, too, so that a map from elsewhere can be scored against it alone; and
    what it rests on.

    Args:
        simulation: what to write; its truth is used up, since a large scan leaves no room for both.
        phantom: what was simulated.
        out: folder to write below.
        scan: name of the scan's folder.
        mask: (nx, ny, nz) bool, of the scan; None: the true one.
    """
    grid = simulation.params.grid
    for name in list(simulation.truth):
        artifacts.write(out / "truth", {name: simulation.truth.pop(name)}, grid)
    artifacts.write(out / "truth", {"mask": simulation.mask}, grid)
    artifacts.write_params(out / "truth", simulation.params)
    artifacts.write(out / scan, {"mask": simulation.mask if mask is None else mask}, grid)
    for name, part in (("phase", np.angle), ("magnitude", np.abs)):  # in turn, to save memory
        artifacts.write(out / scan, {name: part(simulation.signal)}, grid)
    artifacts.write_params(out / scan, simulation.params)
    if scan == NOISEFREE:
        receiver = {"sigma": simulation.sigma, "isocentre": list(simulation.place.isocentre)}
        artifacts.write_json(out / scan / artifacts.RECEIVER_FILE, receiver)
    artifacts.write_regions(out / "truth" / artifacts.REGIONS_FILE, simulation.regions)
    write_basis(out / "truth" / BASIS_FILE, phantom.basis(simulation.params.b0))
    scenario = {"scenario": phantom.name, **phantom.case.told()} if phantom.case else {}
    artifacts.write_json(out / "truth" / SCENARIO_FILE, scenario)


def simulated(source: Simulated, out: Path, *, bids: bool = False) -> None:
    """Simulate a scan, with noise of the first seed, as `out`/scan and `out`/truth, or as a BIDS dataset.

    Where the protocol has several orientations and `source` names none, each is written to `out`/orientation-<index>.
    """
    artifacts.make_folder(out)
    protocol = load_protocol(source.protocol, source.set_protocol)
    several = source.orientation is None and len(protocol.orientations) > 1
    if not several:
        _one(source, protocol, out, bids)
        return
    for orientation in range(len(protocol.orientations)):
        chosen = source.model_copy(update={"orientation": orientation})
        _one(chosen, protocol, out / f"orientation-{orientation}", bids)


def _one(source: Simulated, protocol: Protocol, out: Path, bids: bool) -> None:
    phantom = load(source.phantom, source.set)
    simulation = simulate(phantom, protocol, source.orientation or 0)
    grid, isocentre, sigma = simulation.params.grid, simulation.place.isocentre, simulation.sigma
    seed, orientation = source.seeds[0], source.orientation or 0
    simulation.signal = received(simulation.signal, protocol, grid, isocentre, sigma, seed, orientation)
    if not bids:
        choice, mask = protocol.mask, None
        if choice.of != "truth" or choice.erode or choice.holes:
            mask = acquired(choice, simulation.mask, np.abs(simulation.signal), grid)
        save(simulation, phantom, out, scan="scan", mask=mask)
        return
    magnitude = np.abs(simulation.signal)
    phase, name = np.angle(simulation.signal), f"{source.phantom} {source.protocol}"
    write_megre(out, phase, magnitude, simulation.params, name=name, tr=protocol.tr, flip_angle=protocol.flip_angle)
    truth = out / "derivatives" / "truth"
    write_truth(truth, simulation.truth, simulation.mask, magnitude[..., 0], simulation.params, simulation.regions)
