"""The two stencils of total-variation ADMM, each fused to one pass over memory.

ADMM splits z = ∇χ with the scaled multiplier u. Both follow from one vector field s = (∇χ + u) that is kept from
one iteration to the next: z is s after soft thresholding, u is what the thresholding cut off.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.algebra import norm
from qsmbench.ops.array import is_numpy, like, namespace
from qsmbench.ops.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.fft import irfftn, rfftn
from qsmbench.ops.threads import over_planes


class TotalVariation:
    """The regulariser λ‖∇χ‖₁ of `admm.minimise`, with the splitting z = ∇χ.

    Args:
        start: (nx, ny, nz) float32, χ to start from, ppm.
        grid: voxel size.
        weight: λ, ppm·mm for a data term in ppm².
        penalty: weight of the splitting, in multiples of λ, mm/ppm.
    """

    def __init__(self, start: Any, grid: Grid, weight: float, penalty: float) -> None:
        self.chi = start
        self._voxel_size, self._threshold, self._rho = grid.voxel_size, 1 / penalty, penalty * weight
        self.normal = like(laplacian_spectrum(grid, start.shape), start) * self._rho
        self._dual = gradient(start, grid.voxel_size)
        self._work = namespace(start).zeros_like(start)

    def ask(self) -> Any:
        """See `admm.Regulariser`."""
        adjoint(self._dual, self._work, self._voxel_size, self._threshold, self._rho)
        return rfftn(self._work)

    def answer(self, chi_hat: Any, relaxation: float) -> float:
        """See `admm.Regulariser`."""
        previous, self.chi = self.chi, irfftn(chi_hat, self.chi.shape)
        return step(self._dual, self.chi, previous, self._voxel_size, self._threshold, relaxation)


def step(
    dual: Any,
    chi: Any,
    previous: Any,
    voxel_size: tuple[float, float, float],
    threshold: float,
    relaxation: float,
) -> float:
    """Update s in place for a new χ, and say how far χ moved.

    Args:
        dual: (3, nx, ny, nz) float32, s, unit of χ per mm; overwritten by s + relaxation · (∇χ − z).
        chi: (nx, ny, nz) float32.
        previous: (nx, ny, nz) float32, χ one iteration before.
        voxel_size: mm.
        threshold: of the soft thresholding, in the unit of `dual`.
        relaxation: 1 for plain ADMM, up to 2 for over-relaxation.

    Returns:
        ‖χ − previous‖ / ‖χ‖.
    """
    if not is_numpy(chi):
        dual += relaxation * (gradient(chi, voxel_size) - _shrunk(dual, threshold))
        size = norm(chi)
        return norm(chi - previous) / size if size > 0 else 0.0
    nx = chi.shape[0]
    sums = np.zeros((nx, 2))
    inverse = (1 / np.array(voxel_size)).astype(np.float32)
    over_planes(_step, nx, dual, chi, previous, inverse, np.float32(threshold), np.float32(relaxation), sums)
    moved, square = sums.sum(axis=0)
    return float(np.sqrt(moved / square)) if square > 0 else 0.0


def adjoint(dual: Any, out: Any, voxel_size: tuple[float, float, float], threshold: float, factor: float = 1.0) -> None:
    """Write factor · ∇ᵀ(z − u) to `out`, of shape (nx, ny, nz) float32; the other arguments as in `step`."""
    if not is_numpy(dual):
        gradient_adjoint(factor * (2 * _shrunk(dual, threshold) - dual), voxel_size, out)
        return
    inverse = (factor / np.array(voxel_size)).astype(np.float32)
    over_planes(_adjoint, out.shape[0], dual, out, inverse, np.float32(threshold))


def _shrunk(dual: Any, threshold: float) -> Any:
    """z: s after soft thresholding."""
    return dual - namespace(dual).clip(dual, -threshold, threshold)


@numba.njit(inline="always")
def _clip(s, t):
    return min(max(s, -t), t)


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, boundscheck=False)
def _step(start, stop, dual, chi, previous, inverse, t, relaxation, sums):
    nx, ny, nz = chi.shape
    for i in range(start, stop):
        right = chi[i + 1 if i + 1 < nx else 0]
        here = chi[i]
        old = previous[i]
        moved = 0.0
        norm = 0.0
        for j in range(ny):
            c, cx, cy = here[j], right[j], here[j + 1 if j + 1 < ny else 0]
            sx, sy, sz = dual[0, i, j], dual[1, i, j], dual[2, i, j]
            for k in range(nz):
                sx[k] += relaxation * ((cx[k] - c[k]) * inverse[0] - sx[k] + _clip(sx[k], t))
                sy[k] += relaxation * ((cy[k] - c[k]) * inverse[1] - sy[k] + _clip(sy[k], t))
            for k in range(nz - 1):
                sz[k] += relaxation * ((c[k + 1] - c[k]) * inverse[2] - sz[k] + _clip(sz[k], t))
            k = nz - 1
            sz[k] += relaxation * ((c[0] - c[k]) * inverse[2] - sz[k] + _clip(sz[k], t))
            row_moved = 0.0
            row_norm = 0.0
            for k in range(nz):
                row_moved += (c[k] - old[j, k]) ** 2
                row_norm += c[k] ** 2
            moved += row_moved
            norm += row_norm
        sums[i, 0] = moved
        sums[i, 1] = norm


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, boundscheck=False)
def _adjoint(start, stop, dual, out, inverse, t):
    _, nx, ny, nz = dual.shape
    for i in range(start, stop):
        left = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            before = j - 1 if j > 0 else ny - 1
            sx, sxl = dual[0, i, j], dual[0, left, j]
            sy, syl = dual[1, i, j], dual[1, i, before]
            sz = dual[2, i, j]
            row = out[i, j]
            for k in range(nz):
                dx = (sxl[k] - 2 * _clip(sxl[k], t)) - (sx[k] - 2 * _clip(sx[k], t))
                dy = (syl[k] - 2 * _clip(syl[k], t)) - (sy[k] - 2 * _clip(sy[k], t))
                row[k] = dx * inverse[0] + dy * inverse[1]
            row[0] += ((sz[nz - 1] - 2 * _clip(sz[nz - 1], t)) - (sz[0] - 2 * _clip(sz[0], t))) * inverse[2]
            for k in range(1, nz):
                row[k] += ((sz[k - 1] - 2 * _clip(sz[k - 1], t)) - (sz[k] - 2 * _clip(sz[k], t))) * inverse[2]
