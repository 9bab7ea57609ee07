"""Sources of known χ planted into the complex signal of a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import WATER
from qsmbench.scan.blocks import block_mean
from qsmbench.scan.field import field_of
from qsmbench.scan.signal import spoiled_gre
from qsmbench.scan.simulate import local_source
from qsmbench.seeds import generator
from qsmbench.units import hz_per_ppm

MARGIN = 5
"""Voxels around a source whose signal is averaged over sub-voxels; beyond, the field at the centre is enough."""

MOST = 60_000_000
"""Largest number of sub-voxels of a box around sources."""

FULLY_RELAXED = 1e6
"""TR at which the signal does not depend on T1 [s]."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Change:
    """What sources change in a tissue, each (nx, ny, nz) float32.

    Attributes:
        para, dia: χ+ and χ−, ppm.
        rate: R2*, 1/s, of all protons.
        density: proton density.
    """

    para: np.ndarray
    dia: np.ndarray
    rate: np.ndarray
    density: np.ndarray


@dataclass(frozen=True)
class Planted:
    """A scan with planted sources.

    Attributes:
        signal: (nx, ny, nz, n_echoes) complex64.
        truth: what the sources change: chi, chi_para, chi_dia, total_field, local_field and r2star; and labels.
        regions: index, name and group of the labels.
    """

    signal: np.ndarray
    truth: dict[str, np.ndarray]
    regions: list[tuple[int, str, str]]


def plant(
    signal: np.ndarray,
    mask: np.ndarray,
    params: Params,
    loaded: Phantom,
    bare: Phantom,
    *,
    supersampling: int = 3,
    tr: float | None = None,
    flip_angle: float | None = None,
    sigma: float = 0.0,
    seed: int = 0,
) -> Planted:
    """Plant sources into a scan: S(TE) becomes S(TE) · Σ ⟨a · c(TE) · exp(−ΔR2*·TE + i·2π·γ̄·B0·ΔB·TE)⟩ / ⟨a₀⟩.

    ΔB is the exact field of the χ that the sources add. The sum is over the species of the tissue with the sources: a
    is their signal at TE = 0, c their spectrum, ΔR2* the difference of their R2* from that of water in the tissue
    without sources, a₀ the signal of that tissue at TE = 0. The mean is over sub-voxels, within which the tissue's own
    signal counts as uniform; the change of ΔB within each dephases it, as in `signal.spoiled_gre`. Where the signal
    becomes smaller, so does its noise; noise of the missing variance is added, so that voids are as noisy as the rest.

    Args:
        signal: (nx, ny, nz, n_echoes) complex64, of the scan.
        mask: (nx, ny, nz) bool.
        params: of the scan.
        loaded: the tissue with the sources.
        bare: the tissue without them.
        supersampling: sub-voxels per voxel along each axis, near sources.
        tr: s; without it, or the flip angle, only proton density changes the signal at TE = 0.
        flip_angle: degrees.
        sigma: of the noise in real and imaginary part, a.u.; 0: none is added.
        seed: of the added noise.

    Raises:
        QsmbenchError: the sources change nothing in the scan, or fill too large a box; or TR or flip angle cannot be.
    """
    for name, value, most in (("tr", tr, 1e4), ("flip_angle", flip_angle, 180.0)):
        if value is not None and not 0 < value <= most:
            raise QsmbenchError(f"{name} is {value:g}; it must be above 0 and at most {most:g}")
    grid, b0 = params.grid, params.b0
    rendered = loaded.render(grid, b0)
    coarse = _change(rendered, bare.render(grid, b0))
    labels, regions = rendered.labels, rendered.regions
    del rendered
    touched = (coarse.para != 0) | (coarse.dia != 0) | (coarse.rate != 0) | (coarse.density != 0)
    if not touched.any():
        raise QsmbenchError("the sources change nothing in the scan; place them within it, in mm of its affine")
    factor = (supersampling,) * 3
    near = []
    for box in _boxes(touched):
        fine = _cut(grid, box).refine(factor)
        if np.prod(fine.shape) > MOST:
            raise QsmbenchError(
                f"a source fills {np.prod(fine.shape) / 1e6:.0f} million sub-voxels, at most {MOST / 1e6:.0f}; "
                "use a smaller supersampling"
            )
        pair = loaded.render(fine, b0), bare.render(fine, b0)
        change = _change(*pair)
        for name in ("para", "dia", "rate"):
            getattr(coarse, name)[box] = block_mean(getattr(change, name), factor)
        near.append((box, fine, pair))
    chi = coarse.para - coarse.dia
    field = field_of(chi, grid)
    total = field.copy()
    turns = []
    for box, fine, pair in near:
        exact = field_of(pair[0].chi - pair[1].chi, fine) + _beyond(field, chi, grid, box, factor)
        total[box] = block_mean(exact, factor)
        turns.append((box, _mean_turn(*pair, exact, factor, params, tr, flip_angle)))
    planted = np.empty(signal.shape, np.complex64)
    omega, rng = 2 * np.pi * hz_per_ppm(b0), generator(seed)
    for echo, time in enumerate(params.te):
        turn = np.exp(np.complex64(1j * omega * time) * field)
        for box, exact_turn in turns:
            turn[box] = exact_turn[..., echo]
        planted[..., echo] = signal[..., echo] * turn
        if sigma:
            lost = np.sqrt(np.maximum(1 - np.abs(turn) ** 2, 0)) * np.float32(sigma)
            lost[np.abs(turn) > 1 - 1e-5] = 0
            noise = rng.standard_normal((2, *grid.shape), dtype=np.float32)
            planted[..., echo] += lost * (noise[0] + 1j * noise[1])
    # outside the box of a source, the mean over a voxel is the value at its centre
    local = total - field_of(chi - local_source(chi, mask), grid)
    truth = {
        "chi": chi,
        "chi_para": coarse.para,
        "chi_dia": coarse.dia,
        "total_field": total,
        "local_field": np.where(mask, local, np.float32(0)),
        "r2star": coarse.rate,
        "labels": labels,
    }
    return Planted(planted, truth, regions)


def _change(loaded: Properties, bare: Properties) -> Change:
    """Return what differs between two renderings of the same tissue."""
    density = loaded.pd
    rate = np.where(density > 1e-6, loaded.r2star - bare.r2star, np.float32(0))
    return Change(loaded.chi_para - bare.chi_para, loaded.chi_dia - bare.chi_dia, rate, density - bare.pd)


def _boxes(touched: np.ndarray) -> Iterator[Box]:
    """Yield boxes that do not overlap and hold all voxels that sources change, with a margin."""
    around = ndimage.binary_dilation(touched, np.ones((3, 3, 3)), iterations=MARGIN)
    while True:  # boxes of groups may overlap where the groups do not: they are merged until none do
        labels, _ = ndimage.label(around)
        boxes = ndimage.find_objects(labels)
        filled = np.zeros_like(around)
        for box in boxes:
            filled[box] = True
        if np.array_equal(filled, around):
            yield from boxes
            return
        around = filled


def _cut(grid: Grid, box: Box) -> Grid:
    return grid.part([s.start for s in box], [s.stop - s.start for s in box])


def _beyond(field: np.ndarray, chi: np.ndarray, grid: Grid, box: Box, factor: tuple[int, int, int]) -> np.ndarray:
    """Return the field of the sources outside a box on its sub-voxels, where it is smooth."""
    rest = field[box] - field_of(np.ascontiguousarray(chi[box]), _cut(grid, box))
    return ndimage.zoom(rest, factor, order=3, mode="nearest", grid_mode=True)


def _mean_turn(
    loaded: Properties,
    bare: Properties,
    field: np.ndarray,
    factor: tuple[int, int, int],
    params: Params,
    tr: float | None,
    flip_angle: float | None,
) -> np.ndarray:
    """Return the factor of the signal, (nx, ny, nz, n_echoes) complex64, the mean over sub-voxels.

    If TR or flip angle is unknown, only proton density changes the signal at TE = 0.
    """
    if tr is None or flip_angle is None:
        tr, flip_angle = FULLY_RELAXED, 90.0
    te, rate = np.asarray(params.te), bare.protons(WATER).r2star
    mean: np.ndarray | None = None
    for species in loaded.present:
        protons = loaded.protons(species)
        relative = replace(protons, r2star=protons.r2star - rate)
        mean = spoiled_gre(field, relative, factor, te=te, tr=tr, flip_angle=flip_angle, b0=params.b0, out=mean)
    still = np.zeros_like(field)
    own, start = replace(bare.protons(WATER), r2star=still), np.zeros(1)
    without = spoiled_gre(still, own, factor, te=start, tr=tr, flip_angle=flip_angle, b0=params.b0)
    assert mean is not None
    return np.divide(mean, without, out=np.ones_like(mean), where=np.abs(without) > 0)
