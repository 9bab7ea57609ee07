"""Single-step TGV: the primal-dual iteration, with two stencils, each fused to one pass over memory.

The saddle point is over χ, w and ψ (primal) and η, p and q (dual) of

    ½‖ψ‖² + ⟨□χ − Δψ − data, η⟩ + ⟨∇χ − w, p⟩ + ⟨Ew, q⟩   with |p| ≤ α₁ and |q| ≤ α₀ in each voxel,

□ = ⅓Δ − (b·∇)² being the dipole operator, ∇ forward differences and E symmetrised backward ones. Volumes have a margin
of one voxel, at least, on each side of the mask.

Reference:
    Langkammer 2015, doi:10.1016/j.neuroimage.2015.02.041; iteration: Chambolle & Pock 2011,
    doi:10.1007/s10851-010-0251-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import is_numpy, namespace
from qsmbench.ops.arrays.difference import inverse_spacing
from qsmbench.threads import over_planes

Term = tuple[tuple[int, int, int], float]


@dataclass(frozen=True)
class StepSizes:
    """Step sizes of the primal-dual iteration, one for each variable."""

    chi: float
    w: float
    psi: float
    eta: float
    p: float
    q: float
    relaxation: float


def laplacian_terms(grid: Grid) -> list[Term]:
    """Return the shifts and weights [1/mm²] of the seven-point Laplacian."""
    return _second_differences([1 / d**2 for d in grid.voxel_size])


def wave_terms(grid: Grid) -> list[Term]:
    """Return the shifts and weights [1/mm²] of □ = ⅓Δ − (b·∇)², whose cross derivatives are central differences."""
    d, b = grid.voxel_size, grid.b0_dir
    terms = _second_differences([(1 / 3 - b[a] ** 2) / d[a] ** 2 for a in range(3)])
    for a, c in ((0, 1), (0, 2), (1, 2)):
        weight = -b[a] * b[c] / (2 * d[a] * d[c])
        for one in (-1, 1):
            for other in (-1, 1):
                shift = [0, 0, 0]
                shift[a], shift[c] = one, other
                terms.append(((shift[0], shift[1], shift[2]), one * other * weight))
    return terms


def _second_differences(weights: list[float]) -> list[Term]:
    terms: list[Term] = [((0, 0, 0), -2 * sum(weights))]
    for axis, weight in enumerate(weights):
        for one in (-1, 1):
            shift = [0, 0, 0]
            shift[axis] = one
            terms.append(((shift[0], shift[1], shift[2]), weight))
    return terms


def apply_stencil(terms: list[Term], volume: Any) -> Any:
    """Apply a stencil to a volume, cyclically; it is symmetric, and so its own adjoint."""
    xp = namespace(volume)
    total = xp.zeros_like(volume)
    for shift, weight in terms:
        if weight:
            total = total + weight * xp.roll(volume, tuple(-s for s in shift), axis=(0, 1, 2))
    return total


def step_sizes(grid: Grid, ratio: float, scale: float, relaxation: float) -> StepSizes:
    """Compute step sizes with which the iteration converges, from the row and column sums of the operators.

    Args:
        grid: voxel size and B0 direction.
        ratio: of primal to dual steps; affects the speed, not the limit.
        scale: weight of the dipole equation relative to the gradients in the steps; affects the speed, not the
            converged solution.
        relaxation: over-relaxation of all variables, 1 (none) to below 2.

    Reference:
        Pock & Chambolle 2011, doi:10.1109/ICCV.2011.6126441, lemma 2 for α = 1; over-relaxation: Condat 2013,
        doi:10.1007/s10957-012-0245-9.
    """
    laplacian, wave = (sum(abs(w) for _, w in terms(grid)) for terms in (laplacian_terms, wave_terms))
    sides = sum(2 / d for d in grid.voxel_size)
    longest = 2 / min(grid.voxel_size)
    return StepSizes(
        chi=ratio / (scale * wave + sides),
        w=ratio / (1 + sides),
        psi=ratio / (scale * laplacian),
        eta=scale / ratio / (wave + laplacian),
        p=1 / ratio / (longest + 1),
        q=1 / ratio / (longest * 2**0.5),
        relaxation=relaxation,
    )


def flags(inside: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return what is defined where, as bits of an uint8.

    Args:
        inside: (nx, ny, nz) bool, the mask.
        known: (nx, ny, nz) bool, where the data are.

    Returns:
        (nx, ny, nz) uint8: 1, 2, 4: the forward difference along x, y, z lies in the mask; 8: so do all backward
        differences; 16: the data are known; 32: in the mask.
    """
    flags = 16 * known.astype(np.uint8) + 32 * inside
    backward = inside.copy()
    for axis in range(3):
        flags += (1 << axis) * (inside & np.roll(inside, -1, axis)).astype(np.uint8)
        backward &= np.roll(inside, 1, axis)
    return (flags + 8 * backward).astype(np.uint8)


def dual_step(
    state: Any, ahead: Any, data: Any, where: Any, grid: Grid, alpha: tuple[float, float], sizes: StepSizes
) -> None:
    """Update η, p and q in place.

    Args:
        state: (10, nx, ny, nz) float32: η, p (x, y, z), q (xx, yy, zz, xy, xz, yz).
        ahead: (5, nx, ny, nz) float32: χ, ψ and w (x, y, z), extrapolated.
        data: (nx, ny, nz) float32, Laplacian of the field, ppm/mm².
        where: (nx, ny, nz) uint8, see `flags`.
        grid: voxel size and B0 direction.
        alpha: α₁, α₀: bounds of p and q.
        sizes: step sizes.
    """
    if is_numpy(state):
        arguments = (*_stencil(grid), *(np.float32(v) for v in (*alpha, sizes.eta, sizes.p, sizes.q, sizes.relaxation)))
        over_planes(_dual, data.shape[0] - 2, state, ahead, data, where, *arguments)
        return
    xp, size = namespace(state), grid.voxel_size

    def at(bit: int) -> Any:
        return xp.astype((where // bit) % 2, xp.float32)

    chi, psi, w = ahead[0, ...], ahead[1, ...], [ahead[2 + a, ...] for a in range(3)]
    misfit = apply_stencil(wave_terms(grid), chi) - apply_stencil(laplacian_terms(grid), psi) - data
    state[0, ...] += sizes.relaxation * sizes.eta * at(16) * misfit
    p = [
        state[1 + a, ...] + sizes.p * at(1 << a) * ((xp.roll(chi, -1, axis=a) - chi) / size[a] - w[a]) for a in range(3)
    ]
    excess = xp.clip(xp.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2) / alpha[0], 1.0, None)
    for a in range(3):
        state[1 + a, ...] += sizes.relaxation * (p[a] / excess - state[1 + a, ...])

    def backward(volume: Any, axis: int) -> Any:
        return (volume - xp.roll(volume, 1, axis=axis)) / size[axis]

    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    strain = [0.5 * (backward(w[a], c) + backward(w[c], a)) for a, c in pairs]
    q = [state[4 + i, ...] + sizes.q * at(8) * e for i, e in enumerate(strain)]
    square = q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + 2 * (q[3] ** 2 + q[4] ** 2 + q[5] ** 2)
    excess = xp.clip(xp.sqrt(square) / alpha[1], 1.0, None)
    for i in range(6):
        state[4 + i, ...] += sizes.relaxation * (q[i] / excess - state[4 + i, ...])


def primal_step(primal: Any, ahead: Any, state: Any, where: Any, grid: Grid, sizes: StepSizes) -> float:
    """Update χ, ψ and w in place, extrapolate them to `ahead`, and return ‖change of χ‖ / ‖χ‖.

    Args:
        primal: (5, nx, ny, nz) float32: χ, ψ and w (x, y, z).
        ahead: (5, nx, ny, nz) float32: overwritten by the same, extrapolated.
        state: (10, nx, ny, nz) float32: η, p (x, y, z), q (xx, yy, zz, xy, xz, yz).
        where: (nx, ny, nz) uint8, see `flags`.
        grid: voxel size and B0 direction.
        sizes: step sizes.
    """
    if is_numpy(state):
        n = where.shape[0]
        sums = np.zeros((n, 2))
        arguments = (*_stencil(grid), *(np.float32(v) for v in (sizes.chi, sizes.psi, sizes.w, sizes.relaxation)))
        over_planes(_primal, n - 2, primal, ahead, state, where, *arguments, sums)
        moved, square = sums.sum(axis=0)
        return float(np.sqrt(moved / square)) if square > 0 else 0.0
    xp, size = namespace(state), grid.voxel_size
    inside = xp.astype((where // 32) % 2, xp.float32)
    eta, p, q = state[0, ...], [state[1 + a, ...] for a in range(3)], [state[4 + i, ...] for i in range(6)]

    def forward_adjoint(volume: Any, axis: int) -> Any:
        return (xp.roll(volume, 1, axis=axis) - volume) / size[axis]

    def backward_adjoint(volume: Any, axis: int) -> Any:
        return (volume - xp.roll(volume, -1, axis=axis)) / size[axis]

    slope = apply_stencil(wave_terms(grid), eta) + sum(forward_adjoint(p[a], a) for a in range(3))
    rows = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
    updated = [primal[0, ...] - sizes.chi * slope]
    updated.append((primal[1, ...] + sizes.psi * apply_stencil(laplacian_terms(grid), eta)) / (1 + sizes.psi))
    for a, row in enumerate(rows):
        strain = sum(backward_adjoint(q[i], c) for c, i in enumerate(row))
        updated.append(primal[2 + a, ...] - sizes.w * (strain - p[a]))
    moved = square = 0.0
    for i, value in enumerate(updated):
        change = value * inside - primal[i, ...]
        if i == 0:
            moved = float(xp.sum(change**2, dtype=xp.float64))
            square = float(xp.sum((value * inside) ** 2, dtype=xp.float64))
        ahead[i, ...] = primal[i, ...] + 2 * change
        primal[i, ...] += sizes.relaxation * change
    return (moved / square) ** 0.5 if square > 0 else 0.0


def _stencil(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 1/voxel size, the weights of the second differences of □, and of its cross differences xy, xz, yz."""
    d, b = np.array(grid.voxel_size), np.array(grid.b0_dir)
    own = (1 / 3 - b**2) / d**2
    cross = [-b[a] * b[c] / (2 * d[a] * d[c]) for a, c in ((0, 1), (0, 2), (1, 2))]
    return inverse_spacing(grid.voxel_size), own.astype(np.float32), np.array(cross, np.float32)


@numba.njit(inline="always")
def _wave(v, i, j, k, own, cross):
    centre = 2 * v[i, j, k]
    value = own[0] * (v[i - 1, j, k] + v[i + 1, j, k] - centre)
    value += own[1] * (v[i, j - 1, k] + v[i, j + 1, k] - centre)
    value += own[2] * (v[i, j, k - 1] + v[i, j, k + 1] - centre)
    value += cross[0] * (v[i + 1, j + 1, k] - v[i + 1, j - 1, k] - v[i - 1, j + 1, k] + v[i - 1, j - 1, k])
    value += cross[1] * (v[i + 1, j, k + 1] - v[i + 1, j, k - 1] - v[i - 1, j, k + 1] + v[i - 1, j, k - 1])
    value += cross[2] * (v[i, j + 1, k + 1] - v[i, j + 1, k - 1] - v[i, j - 1, k + 1] + v[i, j - 1, k - 1])
    return value


@numba.njit(inline="always")
def _laplacian(v, i, j, k, inverse):
    centre = 2 * v[i, j, k]
    value = inverse[0] ** 2 * (v[i - 1, j, k] + v[i + 1, j, k] - centre)
    value += inverse[1] ** 2 * (v[i, j - 1, k] + v[i, j + 1, k] - centre)
    return value + inverse[2] ** 2 * (v[i, j, k - 1] + v[i, j, k + 1] - centre)


@numba.njit(inline="always")
def _span(row):
    """Return the start and stop of the voxels of a row that lie in the mask."""
    start, stop = 0, 0
    for k in range(row.shape[0]):
        if row[k]:
            if stop == 0:
                start = k
            stop = k + 1
    return start, stop


@compiled(fastmath={"contract", "reassoc"}, error_model="numpy")
def _dual(start, stop, state, ahead, data, where, inverse, own, cross, alpha1, alpha0, s_eta, s_p, s_q, relaxation):
    ny = data.shape[1]
    chi, psi, wx, wy, wz = ahead[0], ahead[1], ahead[2], ahead[3], ahead[4]
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    dx, dy, dz = inverse[0], inverse[1], inverse[2]
    for i in range(start + 1, stop + 1):
        for j in range(1, ny - 1):
            row = where[i, j]
            first, last = _span(row)
            eta = state[0, i, j]
            px, py, pz = state[1, i, j], state[2, i, j], state[3, i, j]
            qxx, qyy, qzz = state[4, i, j], state[5, i, j], state[6, i, j]
            qxy, qxz, qyz = state[7, i, j], state[8, i, j], state[9, i, j]
            for k in range(first, last):
                known = np.float32((row[k] >> 4) & 1)
                misfit = _wave(chi, i, j, k, own, cross) - _laplacian(psi, i, j, k, inverse) - data[i, j, k]
                eta[k] += relaxation * s_eta * known * misfit
            for k in range(first, last):
                flag = row[k]
                c = chi[i, j, k]
                x = px[k] + s_p * np.float32(flag & 1) * ((chi[i + 1, j, k] - c) * dx - wx[i, j, k])
                y = py[k] + s_p * np.float32((flag >> 1) & 1) * ((chi[i, j + 1, k] - c) * dy - wy[i, j, k])
                z = pz[k] + s_p * np.float32((flag >> 2) & 1) * ((chi[i, j, k + 1] - c) * dz - wz[i, j, k])
                shrink = one / max(one, np.sqrt(x * x + y * y + z * z) / alpha1)
                px[k] += relaxation * (x * shrink - px[k])
                py[k] += relaxation * (y * shrink - py[k])
                pz[k] += relaxation * (z * shrink - pz[k])
            for k in range(first, last):
                s = s_q * np.float32((row[k] >> 3) & 1)
                x, y, z = wx[i, j, k], wy[i, j, k], wz[i, j, k]
                xx = qxx[k] + s * (x - wx[i - 1, j, k]) * dx
                yy = qyy[k] + s * (y - wy[i, j - 1, k]) * dy
                zz = qzz[k] + s * (z - wz[i, j, k - 1]) * dz
                xy = qxy[k] + s * half * ((x - wx[i, j - 1, k]) * dy + (y - wy[i - 1, j, k]) * dx)
                xz = qxz[k] + s * half * ((x - wx[i, j, k - 1]) * dz + (z - wz[i - 1, j, k]) * dx)
                yz = qyz[k] + s * half * ((y - wy[i, j, k - 1]) * dz + (z - wz[i, j - 1, k]) * dy)
                square = xx * xx + yy * yy + zz * zz + two * (xy * xy + xz * xz + yz * yz)
                shrink = one / max(one, np.sqrt(square) / alpha0)
                qxx[k] += relaxation * (xx * shrink - qxx[k])
                qyy[k] += relaxation * (yy * shrink - qyy[k])
                qzz[k] += relaxation * (zz * shrink - qzz[k])
                qxy[k] += relaxation * (xy * shrink - qxy[k])
                qxz[k] += relaxation * (xz * shrink - qxz[k])
                qyz[k] += relaxation * (yz * shrink - qyz[k])


@compiled(fastmath={"contract", "reassoc"}, error_model="numpy")
def _primal(start, stop, primal, ahead, state, where, inverse, own, cross, t_chi, t_psi, t_w, relaxation, sums):
    ny = where.shape[1]
    eta = state[0]
    px, py, pz = state[1], state[2], state[3]
    qxx, qyy, qzz, qxy, qxz, qyz = state[4], state[5], state[6], state[7], state[8], state[9]
    dx, dy, dz = inverse[0], inverse[1], inverse[2]
    two, keep = np.float32(2), np.float32(1) / (np.float32(1) + t_psi)
    for i in range(start + 1, stop + 1):
        moved = norm = 0.0
        for j in range(1, ny - 1):
            row = where[i, j]
            first, last = _span(row)
            row_moved = np.float32(0)
            row_norm = np.float32(0)
            for k in range(first, last):
                inside = np.float32(row[k] >> 5)
                slope = _wave(eta, i, j, k, own, cross)
                slope += (px[i - 1, j, k] - px[i, j, k]) * dx
                slope += (py[i, j - 1, k] - py[i, j, k]) * dy
                slope += (pz[i, j, k - 1] - pz[i, j, k]) * dz
                change = -inside * t_chi * slope
                old = primal[0, i, j, k]
                primal[0, i, j, k] = old + relaxation * change
                ahead[0, i, j, k] = old + two * change
                row_moved += change * change
                row_norm += (old + change) * (old + change)
                old = primal[1, i, j, k]
                change = inside * (old + t_psi * _laplacian(eta, i, j, k, inverse)) * keep - old
                primal[1, i, j, k] = old + relaxation * change
                ahead[1, i, j, k] = old + two * change
            moved += float(row_moved)
            norm += float(row_norm)
            for k in range(first, last):
                t = t_w * np.float32(row[k] >> 5)
                x = (qxx[i, j, k] - qxx[i + 1, j, k]) * dx + (qxy[i, j, k] - qxy[i, j + 1, k]) * dy
                x += (qxz[i, j, k] - qxz[i, j, k + 1]) * dz - px[i, j, k]
                y = (qxy[i, j, k] - qxy[i + 1, j, k]) * dx + (qyy[i, j, k] - qyy[i, j + 1, k]) * dy
                y += (qyz[i, j, k] - qyz[i, j, k + 1]) * dz - py[i, j, k]
                z = (qxz[i, j, k] - qxz[i + 1, j, k]) * dx + (qyz[i, j, k] - qyz[i, j + 1, k]) * dy
                z += (qzz[i, j, k] - qzz[i, j, k + 1]) * dz - pz[i, j, k]
                ahead[2, i, j, k] = primal[2, i, j, k] - two * t * x
                ahead[3, i, j, k] = primal[3, i, j, k] - two * t * y
                ahead[4, i, j, k] = primal[4, i, j, k] - two * t * z
                primal[2, i, j, k] -= relaxation * t * x
                primal[3, i, j, k] -= relaxation * t * y
                primal[4, i, j, k] -= relaxation * t * z
        sums[i, 0], sums[i, 1] = moved, norm
