"""A phantom and a protocol → a noise-free scan and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.artifacts import Params
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom import Phantom, Properties
from qsmbench.scan.blocks import Factor, block_mean, majority, repeat
from qsmbench.scan.field import field_of
from qsmbench.scan.harmonics import evaluate, fit
from qsmbench.scan.protocol import Protocol
from qsmbench.scan.signal import spoiled_gre


@dataclass
class Simulation:
    """What one acquisition would measure without noise, and what is true.

    Attributes:
        signal: (nx, ny, nz, n_echoes) complex64.
        mask: (nx, ny, nz) bool, the voxels at least half of which belong to the phantom's object of study.
        params: echo times, B0, grid.
        truth: artifacts by name on the scan's grid: chi, chi_para, chi_dia, total_field, local_field, r2star,
            r2prime, labels.
        regions: index, name and group of the labels.
    """

    signal: np.ndarray
    mask: np.ndarray
    params: Params
    truth: dict[str, np.ndarray]
    regions: list[tuple[int, str, str]]


def local_source(chi: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """χ − mean of χ over the mask, inside the mask, and zero outside: the source of the local field.

    A uniform χ in the mask makes a field that is harmonic there, so that no background removal can tell it from
    the field of outside sources: without this reference "local" would not be defined.
    """
    return np.where(mask, chi - np.float32(chi[mask].mean(dtype=float)), np.float32(0))


def simulate(phantom: Phantom, protocol: Protocol) -> Simulation:
    """Simulate a scan on the phantom's grid, each voxel cut into `phantom.supersampling` sub-voxels.

    Raises:
        QsmbenchError: the phantom's mask is empty on this grid.
    """
    grid, factor = phantom.grid(), phantom.supersampling
    fine = grid.refine(factor)
    properties = phantom.render(fine, protocol.b0)
    mask = block_mean(properties.mask, factor) >= 0.5
    if not mask.any():
        raise QsmbenchError(
            f"phantom {phantom.name}: no voxel of {grid.voxel_size} mm lies in its mask; use finer ones"
        )

    chi = properties.chi
    field = field_of(chi, fine, ambient=properties.ambient_chi)
    shim = fit(block_mean(field, factor), mask, grid, protocol.shim_order)
    for start in range(0, fine.shape[0], 16):
        planes = slice(start, start + 16)
        field[planes] -= evaluate(shim, fine, planes)
    signal = _acquire(field, properties, factor, protocol, grid)

    source = local_source(chi, repeat(mask, factor))
    truth = {
        "chi": block_mean(chi, factor),
        "chi_para": block_mean(properties.chi_para, factor),
        "chi_dia": block_mean(properties.chi_dia, factor),
        "total_field": block_mean(field, factor),
        "local_field": np.where(mask, block_mean(field_of(source, fine), factor), np.float32(0)),
        "r2star": block_mean(properties.r2star, factor),
        "r2prime": block_mean(properties.r2star - properties.r2, factor),
        "labels": majority(properties.labels, factor),
    }
    params = Params(np.array(protocol.te), protocol.b0, grid)
    return Simulation(signal, mask, params, truth, properties.regions)


def _acquire(field: np.ndarray, properties: Properties, factor: Factor, protocol: Protocol, grid: Grid) -> np.ndarray:
    signal = spoiled_gre(
        field,
        properties.pd,
        properties.t1,
        properties.r2star,
        properties.fat_fraction,
        factor,
        te=np.array(protocol.te),
        tr=protocol.tr,
        flip_angle=protocol.flip_angle,
        b0=protocol.b0,
    )
    if protocol.phase_offset:
        offset = evaluate(np.array(protocol.phase_offset), grid)
        signal *= np.exp(1j * offset).astype(np.complex64)[..., None]
    return signal
