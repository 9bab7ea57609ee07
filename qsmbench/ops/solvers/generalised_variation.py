"""Second-order total generalised variation, TGV(χ) = min over v of α₁‖∇χ − v‖₁ + α₀‖Ev‖₁, for ADMM.

E is the symmetrised gradient: (Ev)ᵢⱼ = ½ (∂ᵢvⱼ + ∂ⱼvᵢ). Its six components are stored in the order xx, yy, zz, xy, xz,
yz; the last three count twice. All differences are forward ones, so that both parts of a mixed component lie on the
same point of the grid, and both operators are products with the same d in k-space. The normal matrix of (χ, v) is then
inverted exactly, since EᵀE is ½(|d|² + d dᴴ).

Reference:
    Bredies 2010, doi:10.1137/090769521; in susceptibility mapping: Langkammer 2015,
    doi:10.1016/j.neuroimage.2015.02.041; by ADMM: Bilgic 2015, doi:10.1117/12.2188535.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid, Triple
from qsmbench.ops.arrays.algebra import norm
from qsmbench.ops.arrays.array import is_numpy, like, namespace
from qsmbench.ops.arrays.difference import (
    difference_spectra,
    gradient,
    gradient_adjoint,
    inverse_spacing,
    laplacian_spectrum,
)
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.threads import over_planes

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""The axes of the six components of a symmetric tensor."""

_COMPONENT = {pair: n for n, (i, j) in enumerate(PAIRS) for pair in ((i, j), (j, i))}


class GeneralisedVariation:
    """The regulariser TGV(χ) of `admm.minimise`, with the splittings z = ∇χ − v and w = Ev.

    Args:
        start: (nx, ny, nz) float32, initial χ, ppm.
        grid: voxel size.
        weight: α₁, ppm·mm for a data term in ppm².
        curvature: α₀/α₁, mm.
        penalty: weight of the splitting z, in multiples of α₁, mm/ppm.
        curvature_penalty: weight of the splitting w, in multiples of α₀, mm²/ppm.
    """

    def __init__(
        self, start: Any, grid: Grid, weight: float, curvature: float, penalty: float, curvature_penalty: float
    ) -> None:
        xp = namespace(start)
        self.chi = start
        self._size: Triple = grid.voxel_size
        self._thresholds = 1 / penalty, 1 / curvature_penalty
        self._rhos = rho1, rho0 = penalty * weight, curvature_penalty * curvature * weight
        self._laplacian = laplacian = like(laplacian_spectrum(grid, start.shape), start)
        self._d = tuple(like(d, start) for d in difference_spectra(grid, start.shape))
        self.normal = rho1 * rho0 * laplacian * laplacian / (rho1 + rho0 * laplacian)
        self._vector_dual = gradient(start, grid.voxel_size)
        self._tensor_dual = xp.stack([xp.zeros_like(start)] * 6)
        self._pending: tuple[Any, ...] = ()

    def right_hand_side(self) -> Any:
        """See `admm.Regulariser`."""
        volumes = adjoint(self._vector_dual, self._tensor_dual, self._size, self._thresholds, self._rhos)
        vector = []
        while len(volumes) > 1:  # each volume is freed as soon as it is transformed
            vector.append(rfftn(volumes.pop(0)))
        right = rfftn(volumes.pop())
        divergence = _eliminate(vector, right, self._d, self._laplacian, self._rhos)
        self._pending = (*vector, divergence)
        return right

    def update(self, chi_hat: Any, relaxation: float) -> float:
        """See `admm.Regulariser`."""
        *vector, divergence = self._pending
        self._pending = ()
        _back_substitute(vector, divergence, chi_hat, self._d, self._laplacian, self._rhos)
        del divergence
        v = []
        while vector:
            v.append(irfftn(vector.pop(0), self.chi.shape))
        previous, self.chi = self.chi, irfftn(chi_hat, self.chi.shape)
        step(self._vector_dual, self._tensor_dual, self.chi, v, self._size, self._thresholds, relaxation)
        previous -= self.chi
        size = norm(self.chi)
        return norm(previous) / size if size > 0 else 0.0


def symmetrised_gradient(vector: Any, voxel_size: Triple) -> Any:
    """Apply E: (3, nx, ny, nz) → (6, nx, ny, nz), unit of `vector` per mm."""
    xp = namespace(vector[0])
    parts = [gradient(vector[i], voxel_size) for i in range(3)]
    return xp.stack([0.5 * (parts[i][j, ...] + parts[j][i, ...]) for i, j in PAIRS])


def symmetrised_gradient_adjoint(tensor: Any, voxel_size: Triple) -> Any:
    """Apply the adjoint of E, in which mixed components count twice: (6, nx, ny, nz) → (3, nx, ny, nz), per mm."""
    xp = namespace(tensor)
    rows = [xp.stack([tensor[_COMPONENT[i, j], ...] for j in range(3)]) for i in range(3)]
    return xp.stack([gradient_adjoint(row, voxel_size) for row in rows])


def adjoint(
    vector: Any, tensor: Any, voxel_size: Triple, thresholds: tuple[float, float], rhos: tuple[float, float]
) -> list[Any]:
    """Compute the right-hand sides of the (χ, v)-step from the arrays s of the splittings.

    Args:
        vector: (3, nx, ny, nz) float32, s of z, ppm/mm.
        tensor: (6, nx, ny, nz) float32, s of w, ppm/mm².
        voxel_size: mm.
        thresholds: of z and of w.
        rhos: penalties ρ₁, ρ₀ of z and of w.

    Returns:
        Four volumes: the three components of ρ₀Eᵀ(2w − s) − ρ₁(2z − s), and ρ₁∇ᵀ(2z − s).
    """
    (t1, t0), (rho1, rho0) = thresholds, rhos
    if is_numpy(vector):
        out = [np.empty(vector.shape[1:], np.float32) for _ in range(4)]
        constants = (np.float32(c) for c in (t1, t0, rho1, rho0))
        over_planes(_adjoint, vector.shape[1], vector, tensor, *out, inverse_spacing(voxel_size), *constants)
        return out
    z, w = _reflected(vector, t1), _reflected(tensor, t0)
    right = rho0 * symmetrised_gradient_adjoint(w, voxel_size) - rho1 * z
    return [right[0, ...], right[1, ...], right[2, ...], rho1 * gradient_adjoint(z, voxel_size)]


def step(
    vector: Any,
    tensor: Any,
    chi: Any,
    v: list[Any],
    voxel_size: Triple,
    thresholds: tuple[float, float],
    relaxation: float,
) -> None:
    """Update both arrays s in place for a new χ and v.

    Args:
        vector: (3, nx, ny, nz) float32, s of z, ppm/mm.
        tensor: (6, nx, ny, nz) float32, s of w, ppm/mm².
        chi: (nx, ny, nz) float32, ppm.
        v: three volumes, (nx, ny, nz) float32 each, ppm/mm.
        voxel_size: mm.
        thresholds: of z and of w.
        relaxation: over-relaxation, 1 (none) to 2.
    """
    t1, t0 = thresholds
    if is_numpy(chi):
        constants = (np.float32(c) for c in (t1, t0, relaxation))
        over_planes(_step, chi.shape[0], vector, tensor, chi, *v, inverse_spacing(voxel_size), *constants)
        return
    xp = namespace(chi)
    vector += relaxation * (gradient(chi, voxel_size) - xp.stack(v) - (vector - xp.clip(vector, -t1, t1)))
    tensor += relaxation * (symmetrised_gradient(v, voxel_size) - (tensor - xp.clip(tensor, -t0, t0)))


def _reflected(s: Any, threshold: float) -> Any:
    """Return 2z − s, where z is s after soft thresholding."""
    return s - 2 * namespace(s).clip(s, -threshold, threshold)


def _eliminate(vector: list[Any], right: Any, d: tuple[Any, ...], laplacian: Any, rhos: tuple[float, float]) -> Any:
    """Eliminate v from the right-hand side of χ, `right`, in place, and return the divergence dᴴ · vector."""
    rho1, rho0 = rhos
    if is_numpy(right):
        divergence = np.empty_like(right)
        flat = [x.reshape(-1) for x in d]
        over_planes(
            _eliminate_planes,
            right.shape[0],
            *vector,
            right,
            divergence,
            *flat,
            laplacian,
            np.float32(rho1),
            np.float32(rho0),
        )
        return divergence
    xp = namespace(right)
    divergence = xp.conj(d[0]) * vector[0] + xp.conj(d[1]) * vector[1] + xp.conj(d[2]) * vector[2]
    right += divergence * (rho1 / (rho1 + rho0 * laplacian))
    return divergence


def _back_substitute(
    vector: list[Any], divergence: Any, chi_hat: Any, d: tuple[Any, ...], laplacian: Any, rhos: tuple[float, float]
) -> None:
    """Overwrite the right-hand side `vector` by the spectrum of v that belongs to the spectrum of χ."""
    rho1, rho0 = rhos
    if is_numpy(chi_hat):
        flat = [x.reshape(-1) for x in d]
        over_planes(
            _substitute_planes,
            chi_hat.shape[0],
            *vector,
            divergence,
            chi_hat,
            *flat,
            laplacian,
            np.float32(rho1),
            np.float32(rho0),
        )
        return
    along = (divergence + rho1 * laplacian * chi_hat) / (rho1 + rho0 * laplacian)  # dᴴ v
    common = rho1 * chi_hat - 0.5 * rho0 * along
    for part, along_axis in zip(vector, d, strict=True):
        part += along_axis * common
        part /= rho1 + 0.5 * rho0 * laplacian


@numba.njit(inline="always")
def _flip(s, t):
    return s - np.float32(2) * min(max(s, -t), t)


@numba.njit(inline="always")
def _shrink(s, t):
    return s - min(max(s, -t), t)


@compiled(fastmath={"contract"}, boundscheck=False)
def _adjoint(start, stop, vector, tensor, rx, ry, rz, g, inverse, t1, t0, rho1, rho0):
    nx, ny, nz = g.shape
    hx, hy, hz = inverse
    for i in range(start, stop):
        left = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            below = j - 1 if j > 0 else ny - 1
            ax, ay, az = vector[0, i, j], vector[1, i, j], vector[2, i, j]
            axl, ayb = vector[0, left, j], vector[1, i, below]
            xx, yy, zz = tensor[0, i, j], tensor[1, i, j], tensor[2, i, j]
            xy, xz, yz = tensor[3, i, j], tensor[4, i, j], tensor[5, i, j]
            xxl, xyl, xzl = tensor[0, left, j], tensor[3, left, j], tensor[4, left, j]
            yyb, xyb, yzb = tensor[1, i, below], tensor[3, i, below], tensor[5, i, below]
            ox, oy, oz, og = rx[i, j], ry[i, j], rz[i, j], g[i, j]
            for k in range(nz):
                tx, ty, tz = _flip(ax[k], t1), _flip(ay[k], t1), _flip(az[k], t1)
                txy = _flip(xy[k], t0)
                dx = (_flip(xxl[k], t0) - _flip(xx[k], t0)) * hx + (_flip(xyb[k], t0) - txy) * hy
                dy = (_flip(xyl[k], t0) - txy) * hx + (_flip(yyb[k], t0) - _flip(yy[k], t0)) * hy
                dz = (_flip(xzl[k], t0) - _flip(xz[k], t0)) * hx + (_flip(yzb[k], t0) - _flip(yz[k], t0)) * hy
                ox[k] = rho0 * dx - rho1 * tx
                oy[k] = rho0 * dy - rho1 * ty
                oz[k] = rho0 * dz - rho1 * tz
                og[k] = rho1 * ((_flip(axl[k], t1) - tx) * hx + (_flip(ayb[k], t1) - ty) * hy)
            c0, c1 = rho0 * hz, rho1 * hz
            ox[0] += c0 * (_flip(xz[nz - 1], t0) - _flip(xz[0], t0))
            oy[0] += c0 * (_flip(yz[nz - 1], t0) - _flip(yz[0], t0))
            oz[0] += c0 * (_flip(zz[nz - 1], t0) - _flip(zz[0], t0))
            og[0] += c1 * (_flip(az[nz - 1], t1) - _flip(az[0], t1))
            for k in range(1, nz):
                ox[k] += c0 * (_flip(xz[k - 1], t0) - _flip(xz[k], t0))
                oy[k] += c0 * (_flip(yz[k - 1], t0) - _flip(yz[k], t0))
                oz[k] += c0 * (_flip(zz[k - 1], t0) - _flip(zz[k], t0))
                og[k] += c1 * (_flip(az[k - 1], t1) - _flip(az[k], t1))


@compiled(fastmath={"contract"}, boundscheck=False)
def _step(start, stop, vector, tensor, chi, vx, vy, vz, inverse, t1, t0, relaxation):
    nx, ny, nz = chi.shape
    hx, hy, hz = inverse
    half = np.float32(0.5)
    for i in range(start, stop):
        right = i + 1 if i + 1 < nx else 0
        for j in range(ny):
            above = j + 1 if j + 1 < ny else 0
            c, cx, cy = chi[i, j], chi[right, j], chi[i, above]
            px, py, pz = vx[i, j], vy[i, j], vz[i, j]
            pxr, pyr, pzr = vx[right, j], vy[right, j], vz[right, j]
            pxa, pya, pza = vx[i, above], vy[i, above], vz[i, above]
            ax, ay, az = vector[0, i, j], vector[1, i, j], vector[2, i, j]
            xx, yy, zz = tensor[0, i, j], tensor[1, i, j], tensor[2, i, j]
            xy, xz, yz = tensor[3, i, j], tensor[4, i, j], tensor[5, i, j]
            for k in range(nz):
                ax[k] += relaxation * ((cx[k] - c[k]) * hx - px[k] - _shrink(ax[k], t1))
                ay[k] += relaxation * ((cy[k] - c[k]) * hy - py[k] - _shrink(ay[k], t1))
                xx[k] += relaxation * ((pxr[k] - px[k]) * hx - _shrink(xx[k], t0))
                yy[k] += relaxation * ((pya[k] - py[k]) * hy - _shrink(yy[k], t0))
                mixed = half * ((pyr[k] - py[k]) * hx + (pxa[k] - px[k]) * hy)
                xy[k] += relaxation * (mixed - _shrink(xy[k], t0))
            for k in range(nz):
                n = k + 1 if k + 1 < nz else 0
                az[k] += relaxation * ((c[n] - c[k]) * hz - pz[k] - _shrink(az[k], t1))
                zz[k] += relaxation * ((pz[n] - pz[k]) * hz - _shrink(zz[k], t0))
                mixed = half * ((pzr[k] - pz[k]) * hx + (px[n] - px[k]) * hz)
                xz[k] += relaxation * (mixed - _shrink(xz[k], t0))
                mixed = half * ((pza[k] - pz[k]) * hy + (py[n] - py[k]) * hz)
                yz[k] += relaxation * (mixed - _shrink(yz[k], t0))


@compiled(fastmath={"contract"}, boundscheck=False)
def _eliminate_planes(start, stop, rx, ry, rz, right, divergence, dx, dy, dz, laplacian, rho1, rho0):
    _, ny, nz = right.shape
    for i in range(start, stop):
        ex = dx[i].conjugate()
        for j in range(ny):
            ey = dy[j].conjugate()
            x, y, z, a, out, squares = rx[i, j], ry[i, j], rz[i, j], right[i, j], divergence[i, j], laplacian[i, j]
            for k in range(nz):
                along = ex * x[k] + ey * y[k] + dz[k].conjugate() * z[k]
                out[k] = along
                a[k] += along * (rho1 / (rho1 + rho0 * squares[k]))


@compiled(fastmath={"contract"}, boundscheck=False)
def _substitute_planes(start, stop, rx, ry, rz, divergence, chi_hat, dx, dy, dz, laplacian, rho1, rho0):
    _, ny, nz = chi_hat.shape
    half = np.float32(0.5)
    for i in range(start, stop):
        ex = dx[i]
        for j in range(ny):
            ey = dy[j]
            x, y, z, b, c, squares = rx[i, j], ry[i, j], rz[i, j], divergence[i, j], chi_hat[i, j], laplacian[i, j]
            for k in range(nz):
                along = (b[k] + (rho1 * squares[k]) * c[k]) * (1 / (rho1 + rho0 * squares[k]))
                common = rho1 * c[k] - half * rho0 * along
                scale = 1 / (rho1 + half * rho0 * squares[k])
                x[k] = (x[k] + ex * common) * scale
                y[k] = (y[k] + ey * common) * scale
                z[k] = (z[k] + dz[k] * common) * scale
