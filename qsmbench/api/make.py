"""Simulated phantoms and scans, and the available names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from qsmbench.api.scan import Scan, Truth
from qsmbench.api.values import plain
from qsmbench.data import folders
from qsmbench.errors import QsmbenchError
from qsmbench.listing import listings
from qsmbench.phantom.load import load
from qsmbench.phantom.properties import Properties
from qsmbench.scan.simulate import Simulation
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs.simulate import Basis
from qsmbench.study.simulate import Described, described, scan_mask, scans
from qsmbench.typed_yaml import check


def simulate(
    phantom: str | os.PathLike[str],
    protocol: str | os.PathLike[str] = "brain-3t",
    *,
    seed: int = 0,
    orientation: int | None = None,
    set_protocol: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Scan:
    """Simulate a scan of a phantom, with the same results as `qsmbench simulate`.

    Args:
        phantom: name of a phantom or scenario (see `catalogue`), or path of its YAML.
        protocol: name of a protocol, or path of its YAML.
        seed: of the noise.
        orientation: index of an orientation of the protocol; by default all, the further ones as `Scan.orientations`.
        set_protocol: keys of the protocol to override, such as `{"snr": 50, "readout.bandwidth": 200}`.
        **keys: keys of the phantom to override: `voxel_size=2` [mm], `subject=3`, `case="patient"`; a dotted key as
            `**{"tissues.caudate.chi": 0.1}`.

    Returns:
        the scan, with its truth.

    Raises:
        QsmbenchError: no such phantom, protocol, key or orientation, or an invalid value.

    Example:
        scan = qb.simulate("head", "brain-3t", voxel_size=2, subject=3, seed=1)
    """
    source = check(
        {
            "phantom": plain(phantom),
            "protocol": plain(protocol),
            "seeds": [plain(seed)],
            "orientation": plain(orientation),
            "set": plain(keys),
            "set_protocol": plain({} if set_protocol is None else set_protocol),
        },
        Simulated,
        "simulate",
    )
    what = described(source)
    own, *further = (_as_scan(simulation, what, source) for simulation in scans(what))
    own.orientations = tuple(further)
    if own.truth is not None:
        own.truth.source = source.scans()[0]
    return own


def _as_scan(simulation: Simulation, what: Described, source: Simulated) -> Scan:
    params = folders.as_read_params(simulation.params)
    true = {**simulation.truth, "mask": simulation.mask}
    truth = Truth(
        {name: folders.as_read(name, v) for name, v in true.items()}, params, Basis.of(simulation, what.phantom)
    )
    measured = {
        "phase": np.angle(simulation.signal),
        "magnitude": np.abs(simulation.signal),
        "mask": scan_mask(simulation, what.protocol),
    }
    return Scan.of(measured, params, truth=truth, name=f"{source.group}_seed-{what.seed}")


def render(phantom: str | os.PathLike[str], *, b0: float = 3.0, **keys: Any) -> Properties:
    """Render the properties of a phantom on its own grid, without a scan.

    Each voxel is sampled at its centre; in the truth of a scan, it is the mean of its sub-voxels.

    Args:
        phantom: name of a phantom or scenario, or path of its YAML.
        b0: field strength, T, which R2 and R2* depend on.
        **keys: keys of the phantom to override, as for `simulate`.

    Returns:
        the maps as attributes, (nx, ny, nz): `chi`, `chi_para`, `chi_dia` [ppm], `pd`, `fat_fraction`, `labels`,
        `mask`; `t1` [s], `r2`, `r2star` [1/s] of water, and `fat_t1`, `fat_r2`, `fat_r2star` of fat; `regions` (index,
        name and group of the labels) and `grid`.

    Raises:
        QsmbenchError: no such phantom or key, or an invalid value.

    Example:
        head = qb.render("head", voxel_size=2, subject=3)
    """
    loaded = load(plain(phantom), plain(keys))
    if not isinstance(b0, int | float | np.number) or not 0.01 < b0 <= 30:
        raise QsmbenchError(f"b0 is {b0!r}; it must be a field strength in tesla")
    return loaded.render(loaded.grid(), float(b0))


def catalogue(what: str, name: str | None = None) -> dict[str, str]:
    """Return the available names, with a one-line description of each.

    Args:
        what: phantoms, scenarios, protocols, methods, metrics, artifacts or sources; or with `name` the settings of a
            method, the regions of a phantom, or the keys of a phantom or protocol.
        name: of the method, phantom or protocol.

    Raises:
        QsmbenchError: there is no such list or name.

    Example:
        qb.catalogue("protocols")["brain-3t"]
        qb.catalogue("settings", "tv")
    """
    return {first: " · ".join(rest) for table in listings(what, name, {}) for first, *rest in table.rows}
