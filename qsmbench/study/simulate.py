"""One simulated scan outside a study: `qsmbench simulate`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.bids import write_megre, write_truth
from qsmbench.phantom.load import load
from qsmbench.scan.acquired_mask import acquired
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import Simulation, simulate
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs.simulate import save
from qsmbench.study.tuned import SOURCE_FILE


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
    _remove_old(out)
    for i, orientation in enumerate(orientations):
        simulation = simulate(phantom, protocol, orientation)
        grid, isocentre, sigma = simulation.params.grid, simulation.geometry.isocentre, simulation.sigma
        seed = source.seeds[0]
        simulation.signal = received(simulation.signal, protocol, grid, isocentre, sigma, seed, orientation)
        if bids:
            several = len(orientations) > 1
            _save_bids(simulation, source, protocol, out / f"orientation-{i}" if several else out)
            continue
        choice, mask = protocol.mask, None
        if choice.of != "truth" or choice.erode or choice.holes:
            mask = acquired(choice, simulation.mask, np.abs(simulation.signal), grid)
        save(
            simulation,
            phantom,
            out / "scan" / folders.orientation_folder(i),
            out / "truth" / folders.orientation_folder(i),
            mask=mask,
        )
    if not bids:
        folders.write_json(out / "truth" / SOURCE_FILE, source.scans()[0])


def _remove_old(out: Path) -> None:
    """Remove what an earlier simulation left: it may have had more orientations, or other truth maps."""
    for folder in (out / "scan", out / "truth"):
        for turned in folder.glob("orientation-*"):
            shutil.rmtree(turned)
        for name in folders.present(folder):
            (folder / ARTIFACTS[name].file).unlink()


def _save_bids(simulation: Simulation, source: Simulated, protocol: Protocol, out: Path) -> None:
    magnitude = np.abs(simulation.signal)
    phase, name = np.angle(simulation.signal), f"{source.phantom} {source.protocol}"
    write_megre(out, phase, magnitude, simulation.params, name=name, tr=protocol.tr, flip_angle=protocol.flip_angle)
    truth = out / "derivatives" / "truth"
    write_truth(truth, simulation.truth, simulation.mask, magnitude[..., 0], simulation.params, simulation.regions)
