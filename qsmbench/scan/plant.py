"""Sources of known χ planted into the complex signal of a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.species import FAT
from qsmbench.scan.blocks import block_mean
from qsmbench.scan.field import field_of
from qsmbench.scan.simulate import local_source
from qsmbench.units import hz_per_ppm

MARGIN = 5
"""Voxels around a source whose signal is averaged over sub-voxels; beyond, the field at the centre is enough."""

MOST = 60_000_000
"""Largest number of sub-voxels of a box around sources."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Change:
    """What sources change in a tissue, each (nx, ny, nz) float32.

    Attributes:
        para, dia: χ+ and χ−, ppm.
        amplitude: signal at TE = 0, in multiples of the tissue's.
        rate: R2*, 1/s.
        fat: fraction of fat of the protons, 0–1.
    """

    para: np.ndarray
    dia: np.ndarray
    amplitude: np.ndarray
    rate: np.ndarray
    fat: np.ndarray


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
    """Plant sources into a scan: S(TE) becomes S(TE) · ⟨a · exp(−ΔR2*·TE + i·2π·γ̄·B0·ΔB·TE)⟩.

    ΔB is the exact field of the χ that the sources add, ΔR2* the change of R2*, a that of the signal at TE = 0, and the
    mean is over sub-voxels, within which the tissue's own signal counts as uniform. Where the signal becomes smaller,
    so does its noise; noise of the missing variance is added, so that voids are as noisy as the rest.

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
        QsmbenchError: the sources change nothing in the scan, or fill too large a box.
    """
    grid, b0 = params.grid, params.b0
    rendered = loaded.render(grid, b0)
    coarse = _change(rendered, bare.render(grid, b0), tr, flip_angle)
    labels, regions = rendered.labels, rendered.regions
    del rendered
    touched = (coarse.para != 0) | (coarse.dia != 0) | (coarse.amplitude != 1) | (coarse.rate != 0) | (coarse.fat != 0)
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
        change = _change(loaded.render(fine, b0), bare.render(fine, b0), tr, flip_angle)
        for name in ("para", "dia", "rate"):
            getattr(coarse, name)[box] = block_mean(getattr(change, name), factor)
        near.append((box, fine, change))
    chi = coarse.para - coarse.dia
    field = field_of(chi, grid)
    planted = np.empty(signal.shape, np.complex64)
    omega, rng = 2 * np.pi * hz_per_ppm(b0), np.random.default_rng(seed)
    own = [(box, field_of(c.para - c.dia, fine) + _beyond(field, chi, grid, box, factor)) for box, fine, c in near]
    for echo, time in enumerate(params.te):
        turn = np.exp(np.complex64(1j * omega * time) * field)
        for (box, _, change), (_, exact) in zip(near, own, strict=True):
            turn[box] = _mean_turn(change, exact, omega, float(time), b0, factor)
        planted[..., echo] = signal[..., echo] * turn
        if sigma:
            lost = np.sqrt(np.maximum(1 - np.abs(turn) ** 2, 0)) * np.float32(sigma)
            lost[np.abs(turn) > 1 - 1e-5] = 0
            noise = rng.standard_normal((2, *grid.shape), dtype=np.float32)
            planted[..., echo] += lost * (noise[0] + 1j * noise[1])
    total = field.copy()
    for box, exact in own:
        total[box] = block_mean(exact, factor)
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


def _change(loaded, bare, tr: float | None, flip_angle: float | None) -> Change:
    """Return what differs between two renderings of the same tissue."""
    without = _amplitude(bare, tr, flip_angle)
    amplitude = np.divide(_amplitude(loaded, tr, flip_angle), without, out=np.ones_like(without), where=without > 0)
    rate = np.where(loaded.pd > 1e-6, loaded.r2star - bare.r2star, np.float32(0))
    return Change(loaded.chi_para - bare.chi_para, loaded.chi_dia - bare.chi_dia, amplitude, rate, loaded.fat_fraction)


def _amplitude(properties, tr: float | None, flip_angle: float | None) -> np.ndarray:
    """Compute the signal at TE = 0 of a spoiled gradient echo; the proton density if TR or flip angle is unknown."""
    if tr is None or flip_angle is None:
        return properties.pd
    alpha = np.deg2rad(flip_angle)
    e1 = np.exp(-np.float32(tr) / np.maximum(properties.t1, np.float32(1e-6)))
    return (properties.pd * np.sin(alpha) * (1 - e1) / (1 - np.cos(alpha) * e1)).astype(np.float32)


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
    start = [s.start for s in box]
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    nx, ny, nz = (s.stop - s.start for s in box)
    return Grid((nx, ny, nz), grid.voxel_size, grid.b0_dir, affine)


def _beyond(field: np.ndarray, chi: np.ndarray, grid: Grid, box: Box, factor: tuple[int, int, int]) -> np.ndarray:
    """Return the field of the sources outside a box on its sub-voxels, where it is smooth."""
    rest = field[box] - field_of(np.ascontiguousarray(chi[box]), _cut(grid, box))
    return ndimage.zoom(rest, factor, order=3, mode="nearest", grid_mode=True)


def _mean_turn(
    change: Change, field: np.ndarray, omega: float, time: float, b0: float, factor: tuple[int, int, int]
) -> np.ndarray:
    """Return the factor of the signal of one echo, the mean over sub-voxels."""
    dephased = complex(FAT.dephasing(np.array([time]), b0)[0])
    size = change.amplitude * np.exp(-np.float32(time) * change.rate)
    turn = size * (1 + change.fat * np.complex64(dephased - 1)) * np.exp(np.complex64(1j * omega * time) * field)
    mean = np.empty(tuple(n // f for n, f in zip(field.shape, factor, strict=True)), np.complex64)
    mean.real = block_mean(np.ascontiguousarray(turn.real), factor)
    mean.imag = block_mean(np.ascontiguousarray(turn.imag), factor)
    return mean
