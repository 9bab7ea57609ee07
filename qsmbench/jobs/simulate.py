"""Job: a phantom and a protocol → `noisefree/` and `truth/`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from qsmbench import artifacts
from qsmbench.bids import write_megre, write_truth
from qsmbench.config import Simulated
from qsmbench.phantom import load
from qsmbench.scan.noise import add_noise, sigma_for
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import Simulation, simulate


def main(arguments: list[str]) -> None:
    """Run the job: SPEC (a `Simulated` as JSON) and the folder to write below."""
    parser = argparse.ArgumentParser(prog="simulate")
    parser.add_argument("spec", type=json.loads)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    source = Simulated.model_validate(args.spec)
    save(_simulation(source), args.out)


def _simulation(source: Simulated) -> Simulation:
    return simulate(load(source.phantom, source.set), load_protocol(source.protocol, source.set_protocol))


def save(simulation: Simulation, out: Path, *, scan: str = "noisefree") -> None:
    """Write a simulation as the artifact folders `out`/`scan` and `out`/truth.

    The truth has the mask and the parameters, too, so that a map from elsewhere can be scored against it alone.
    """
    grid = simulation.params.grid
    measured = {
        "phase": np.angle(simulation.signal),
        "magnitude": np.abs(simulation.signal),
        "mask": simulation.mask,
    }
    artifacts.write(out / scan, measured, grid)
    artifacts.write_params(out / scan, simulation.params)
    artifacts.write(out / "truth", {**simulation.truth, "mask": simulation.mask}, grid)
    artifacts.write_params(out / "truth", simulation.params)
    artifacts.write_regions(out / "truth" / artifacts.REGIONS_FILE, simulation.regions)


def simulated(source: Simulated, out: Path, *, bids: bool = False) -> None:
    """Simulate one scan, with noise of the first seed, as `out`/scan and `out`/truth, or as a BIDS dataset."""
    artifacts.make_folder(out)
    protocol = load_protocol(source.protocol, source.set_protocol)
    simulation = _simulation(source)
    if protocol.snr is not None:
        sigma = sigma_for(protocol.snr, np.abs(simulation.signal), simulation.mask)
        simulation.signal = add_noise(simulation.signal, sigma, np.random.default_rng(source.seeds[0]))
    if not bids:
        save(simulation, out, scan="scan")
        return
    phase, magnitude = np.angle(simulation.signal), np.abs(simulation.signal)
    name = f"{source.phantom} {source.protocol}"
    write_megre(out, phase, magnitude, simulation.params, name=name, tr=protocol.tr, flip_angle=protocol.flip_angle)
    truth = out / "derivatives" / "truth"
    write_truth(truth, simulation.truth, simulation.mask, magnitude[..., 0], simulation.params, simulation.regions)
