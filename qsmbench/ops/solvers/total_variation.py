"""Total variation for ADMM, with two stencils, each fused to one pass over memory.

ADMM splits z = ∇χ with the scaled multiplier u. Both follow from one vector field s = ∇χ + u that is stored between
iterations: z is s after soft thresholding, and u is s − z. Where the gradient is not penalised, z is s, and u is zero.

Reference:
    Splitting: Bilgic 2014, doi:10.1002/mrm.25029.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid, Triple
from qsmbench.ops.arrays.algebra import norm
from qsmbench.ops.arrays.array import is_numpy, like, namespace
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, inverse_spacing, laplacian_spectrum
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.threads import over_planes


class TotalVariation:
    """The regulariser λ‖M∇χ‖₁ of `admm.minimise`, with the splitting z = ∇χ.

    Args:
        start: (nx, ny, nz) float32, initial χ, ppm.
        grid: voxel size.
        weight: λ, ppm·mm for a data term in ppm².
        penalty: weight of the splitting, in multiples of λ, mm/ppm.
        where: (3, nx, ny, nz) bool, M, where and along which axis the gradient is penalised; by default everywhere.
    """

    def __init__(self, start: Any, grid: Grid, weight: float, penalty: float, where: Any = None) -> None:
        self.chi = start
        self._voxel_size, self._threshold, self._rho = grid.voxel_size, 1 / penalty, penalty * weight
        self._where = where
        self.normal = like(laplacian_spectrum(grid, start.shape), start) * self._rho
        self._dual = gradient(start, grid.voxel_size)
        self._work = namespace(start).zeros_like(start)

    def right_hand_side(self) -> Any:
        """See `admm.Regulariser`."""
        adjoint(self._dual, self._work, self._voxel_size, self._threshold, self._rho, self._where)
        return rfftn(self._work)

    def update(self, chi_hat: Any, relaxation: float) -> float:
        """See `admm.Regulariser`."""
        previous, self.chi = self.chi, irfftn(chi_hat, self.chi.shape)
        return step(self._dual, self.chi, previous, self._voxel_size, self._threshold, relaxation, self._where)


def step(
    dual: Any,
    chi: Any,
    previous: Any,
    voxel_size: Triple,
    threshold: float,
    relaxation: float,
    where: Any = None,
) -> float:
    """Update s in place for a new χ, and return how much χ changed.

    Args:
        dual: (3, nx, ny, nz) float32, s, unit of χ per mm; overwritten by s + relaxation · (∇χ − z).
        chi: (nx, ny, nz) float32.
        previous: (nx, ny, nz) float32, χ of the iteration before.
        voxel_size: mm.
        threshold: of the soft thresholding, in the unit of `dual`.
        relaxation: 1 for plain ADMM, up to 2 for over-relaxation.
        where: (3, nx, ny, nz) bool, where the gradient is penalised; by default everywhere.

    Returns:
        ‖χ − previous‖ / ‖χ‖.
    """
    if not is_numpy(chi):
        dual += relaxation * (gradient(chi, voxel_size) - dual + _multiplier(dual, threshold, where))
        size = norm(chi)
        return norm(chi - previous) / size if size > 0 else 0.0
    nx = chi.shape[0]
    sums = np.zeros((nx, 2))
    constants = inverse_spacing(voxel_size), np.float32(threshold), np.float32(relaxation)
    over_planes(_step, nx, dual, chi, previous, where, *constants, sums)
    moved, square = sums.sum(axis=0)
    return float(np.sqrt(moved / square)) if square > 0 else 0.0


def adjoint(dual: Any, out: Any, voxel_size: Triple, threshold: float, factor: float = 1.0, where: Any = None) -> None:
    """Write factor · ∇ᵀ(z − u) to `out`.

    Args:
        dual: (3, nx, ny, nz) float32, s, unit of χ per mm.
        out: (nx, ny, nz) float32, unit of χ per mm², times `factor`.
        voxel_size: mm.
        threshold: of the soft thresholding, in the unit of `dual`.
        factor: of the result.
        where: (3, nx, ny, nz) bool, where the gradient is penalised; by default everywhere.
    """
    if not is_numpy(dual):
        gradient_adjoint(factor * (dual - 2 * _multiplier(dual, threshold, where)), voxel_size, out)
        return
    over_planes(_adjoint, out.shape[0], dual, where, out, inverse_spacing(voxel_size, factor), np.float32(threshold))


def _multiplier(dual: Any, threshold: float, where: Any) -> Any:
    """Return u, the part of s that soft thresholding removes."""
    xp = namespace(dual)
    u = xp.clip(dual, -threshold, threshold)
    return u if where is None else xp.where(where, u, xp.zeros_like(u))


@numba.njit(inline="always")
def _row(where, axis, i, j):
    """Return a row of `where`, which may be None."""
    if where is None:
        return None
    return where[axis, i, j]


@numba.njit(inline="always")
def _u(s, where, k, t):
    """Return u at voxel k of a row of s."""
    if where is None:
        return min(max(s[k], -t), t)
    return min(max(s[k], -t), t) if where[k] else np.float32(0)


@numba.njit(inline="always")
def _reflected(s, where, k, t):
    """Return z − u at voxel k of a row of s."""
    return s[k] - np.float32(2) * _u(s, where, k, t)


@compiled(fastmath={"contract"}, boundscheck=False)
def _step(start, stop, dual, chi, previous, where, inverse, t, relaxation, sums):
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
            wx, wy, wz = _row(where, 0, i, j), _row(where, 1, i, j), _row(where, 2, i, j)
            for k in range(nz):
                sx[k] += relaxation * ((cx[k] - c[k]) * inverse[0] - sx[k] + _u(sx, wx, k, t))
                sy[k] += relaxation * ((cy[k] - c[k]) * inverse[1] - sy[k] + _u(sy, wy, k, t))
            for k in range(nz - 1):
                sz[k] += relaxation * ((c[k + 1] - c[k]) * inverse[2] - sz[k] + _u(sz, wz, k, t))
            k = nz - 1
            sz[k] += relaxation * ((c[0] - c[k]) * inverse[2] - sz[k] + _u(sz, wz, k, t))
            row_moved = 0.0
            row_norm = 0.0
            for k in range(nz):
                row_moved += (c[k] - old[j, k]) ** 2
                row_norm += c[k] ** 2
            moved += row_moved
            norm += row_norm
        sums[i, 0] = moved
        sums[i, 1] = norm


@compiled(fastmath={"contract"}, boundscheck=False)
def _adjoint(start, stop, dual, where, out, inverse, t):
    _, nx, ny, nz = dual.shape
    for i in range(start, stop):
        left = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            before = j - 1 if j > 0 else ny - 1
            sx, sxl = dual[0, i, j], dual[0, left, j]
            sy, syl = dual[1, i, j], dual[1, i, before]
            sz = dual[2, i, j]
            wx, wxl = _row(where, 0, i, j), _row(where, 0, left, j)
            wy, wyl = _row(where, 1, i, j), _row(where, 1, i, before)
            wz = _row(where, 2, i, j)
            row = out[i, j]
            for k in range(nz):
                dx = _reflected(sxl, wxl, k, t) - _reflected(sx, wx, k, t)
                dy = _reflected(syl, wyl, k, t) - _reflected(sy, wy, k, t)
                row[k] = dx * inverse[0] + dy * inverse[1]
            row[0] += (_reflected(sz, wz, nz - 1, t) - _reflected(sz, wz, 0, t)) * inverse[2]
            for k in range(1, nz):
                row[k] += (_reflected(sz, wz, k - 1, t) - _reflected(sz, wz, k, t)) * inverse[2]
