"""Job: a phantom and a protocol → `noisefree/` and `truth/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data import folders
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, SourcedValue, write_provenance
from qsmbench.data.source_table import SOURCES_FILE, PlacedSource, write_sources
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
        values: values that the properties of the regions depend on.
        scenario: scenario, case, question and so on; empty without a scenario.
        sources: the table of the object's sources.
        veins: index, name and region of the names of veins.
    """

    regions: list[tuple[int, str, str]]
    values: list[SourcedValue]
    scenario: dict[str, Any]
    sources: list[PlacedSource] = field(default_factory=list)
    veins: list[tuple[int, str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, simulation: Simulation, phantom: Phantom) -> Basis:
        """Return the basis of the truth of a simulation of `phantom`."""
        scenario = {"scenario": phantom.name, **phantom.case.summary()} if phantom.case else {}
        if scenario and phantom.age is not None:
            scenario["age"] = phantom.age
        values = phantom.provenance(simulation.params.b0)
        return cls(simulation.regions, values, scenario, simulation.sources, phantom.vein_names)


def write_basis(truth: Path, basis: Basis) -> None:
    """Write the basis of a truth into its folder."""
    folders.write_regions(truth / folders.REGIONS_FILE, basis.regions)
    write_provenance(truth / PROVENANCE_FILE, basis.values)
    folders.write_json(truth / SCENARIO_FILE, basis.scenario)
    write_sources(truth / SOURCES_FILE, basis.sources)
    if basis.veins:
        folders.write_regions(truth / folders.VEINS_FILE, basis.veins)


def save(simulation: Simulation, phantom: Phantom, scan: Path, truth: Path, *, mask: np.ndarray | None = None) -> None:
    """Write a simulation as two artifact folders, the scan and the truth.

    The truth also contains the mask and the parameters, so that any map can be scored against it, and its basis.

    Args:
        simulation: to write; its truth is released on the way, to save memory.
        phantom: that was simulated.
        scan: folder of the scan.
        truth: folder of the truth.
        mask: (nx, ny, nz) bool, of the scan; None: the true mask.
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
    """Write the true maps (and release them), the mask and the parameters."""
    grid = simulation.params.grid
    for name in list(simulation.truth):
        folders.write(truth, {name: simulation.truth.pop(name)}, grid)
    folders.write(truth, {"mask": simulation.mask}, grid)
    folders.write_params(truth, simulation.params)
