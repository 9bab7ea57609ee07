"""Job: a phantom and a protocol → `noisefree/` and `truth/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data import folders
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, write_provenance
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.run.specs import SimulationSpec
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import Simulation, simulate
from qsmbench.threads import in_background

NOISEFREE = "noisefree"


def run(spec: SimulationSpec, out: Path) -> None:
    """Write the noise-free scan and the truth below `out`."""
    protocol = load_protocol(spec.protocol, spec.set_protocol)
    phantom = load(spec.phantom, spec.set)
    for i, orientation in enumerate(spec.orientations):
        scan, truth = (out / name / folders.orientation_folder(i) for name in (NOISEFREE, "truth"))
        simulation = simulate(phantom, protocol, orientation)
        save(simulation, phantom, scan, truth)
        receiver = {"sigma": simulation.sigma, "isocentre": list(simulation.geometry.isocentre)}
        folders.write_json(scan / folders.RECEIVER_FILE, receiver)


@dataclass(frozen=True)
class Basis:
    """The basis of a truth.

    Attributes:
        regions: index, name and group of the labels.
        values: from which the properties of the regions follow.
        scenario: its scenario, case, question and so on; empty if it has none.
    """

    regions: list[tuple[int, str, str]]
    values: list[SourcedValue]
    scenario: dict[str, Any]

    @classmethod
    def of(cls, simulation: Simulation, phantom: Phantom) -> Basis:
        """Return what the truth of a simulation of `phantom` rests on."""
        scenario = {"scenario": phantom.name, **phantom.case.summary()} if phantom.case else {}
        return cls(simulation.regions, phantom.provenance(simulation.params.b0), scenario)


def write_basis(truth: Path, basis: Basis) -> None:
    """Write what a truth rests on into its folder."""
    folders.write_regions(truth / folders.REGIONS_FILE, basis.regions)
    write_provenance(truth / PROVENANCE_FILE, basis.values)
    folders.write_json(truth / SCENARIO_FILE, basis.scenario)


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
    truth_written = in_background(lambda: _write_truth(simulation, truth))
    folders.write(scan, {"mask": simulation.mask if mask is None else mask}, grid)
    for name, part in (("phase", np.angle), ("magnitude", np.abs)):  # in turn, to save memory
        folders.write(scan, {name: part(simulation.signal)}, grid)
    folders.write_params(scan, simulation.params)
    truth_written()
    write_basis(truth, Basis.of(simulation, phantom))


def _write_truth(simulation: Simulation, truth: Path) -> None:
    """Write the true maps, which are used up, the mask and the parameters."""
    grid = simulation.params.grid
    for name in list(simulation.truth):
        folders.write(truth, {name: simulation.truth.pop(name)}, grid)
    folders.write(truth, {"mask": simulation.mask}, grid)
    folders.write_params(truth, simulation.params)
