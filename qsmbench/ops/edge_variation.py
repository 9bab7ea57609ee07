"""Total variation that spares the edges of another image, for ADMM: the stencils, each fused to one pass over memory.

As in `ops.total_variation`, one vector field s = (∇χ + u) is kept from one iteration to the next. Where the gradient
is penalised, z is s after soft thresholding; across an edge it is s itself, and the multiplier is zero.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from qsmbench.grid import Triple
from qsmbench.ops.algebra import norm
from qsmbench.ops.array import is_numpy, like, namespace, to_numpy
from qsmbench.ops.difference import gradient, gradient_adjoint
from qsmbench.ops.threads import over_planes


def away_from_edges(image: Any, inside: Any, voxel_size: Triple, fraction: float) -> Any:
    """Where, and along which axis, an image has no edge: all but the steepest `fraction` of its slopes in a mask.

    Args:
        image: (nx, ny, nz) float32, any unit, zero outside the mask.
        inside: (nx, ny, nz) bool, the mask.
        voxel_size: mm.
        fraction: share of the differences in the mask that are edges.

    Returns:
        (3, nx, ny, nz) bool.

    Reference:
        Liu J 2012, doi:10.1016/j.neuroimage.2011.08.082.
    """
    slopes = np.abs(to_numpy(gradient(image, voxel_size)))
    values = slopes[:, to_numpy(inside)]
    n_smooth = round((1 - fraction) * values.size)
    if n_smooth == 0:
        return like(np.zeros(slopes.shape, bool), image)
    limit = np.partition(values, n_smooth - 1, axis=None)[n_smooth - 1]
    return like(slopes <= limit, image)


def step(
    dual: Any, chi: Any, previous: Any, smooth: Any, voxel_size: Triple, threshold: float, relaxation: float
) -> float:
    """Update s in place for a new χ, and say how far χ moved.

    Args:
        dual: (3, nx, ny, nz) float32, s, unit of χ per mm; overwritten by s + relaxation · (∇χ − z).
        chi: (nx, ny, nz) float32.
        previous: (nx, ny, nz) float32, χ one iteration before.
        smooth: (3, nx, ny, nz) bool, where the gradient is penalised.
        voxel_size: mm.
        threshold: of the soft thresholding, in the unit of `dual`.
        relaxation: 1 for plain ADMM, up to 2 for over-relaxation.

    Returns:
        ‖χ − previous‖ / ‖χ‖.
    """
    if not is_numpy(chi):
        z = dual - _multiplier(dual, smooth, threshold)
        dual += relaxation * (gradient(chi, voxel_size) - z)
        size = norm(chi)
        return norm(chi - previous) / size if size > 0 else 0.0
    sums = np.zeros((chi.shape[0], 2))
    inverse = (1 / np.array(voxel_size)).astype(np.float32)
    constants = np.float32(threshold), np.float32(relaxation)
    over_planes(_step, chi.shape[0], dual, chi, previous, smooth, inverse, *constants, sums)
    moved, square = sums.sum(axis=0)
    return float(np.sqrt(moved / square)) if square > 0 else 0.0


def adjoint(dual: Any, smooth: Any, out: Any, voxel_size: Triple, threshold: float) -> None:
    """Write ∇ᵀ(z − u) to `out`, of shape (nx, ny, nz) float32; arguments as in `step`."""
    if not is_numpy(dual):
        gradient_adjoint(dual - 2 * _multiplier(dual, smooth, threshold), voxel_size, out)
        return
    inverse = (1 / np.array(voxel_size)).astype(np.float32)
    over_planes(_adjoint, out.shape[0], dual, smooth, out, inverse, np.float32(threshold))


def _multiplier(dual: Any, smooth: Any, threshold: float) -> Any:
    """u: what the thresholding cuts off s."""
    xp = namespace(dual)
    return xp.where(smooth, xp.clip(dual, -threshold, threshold), xp.zeros_like(dual))


@numba.njit(inline="always")
def _cut(s, smooth, t):
    return min(max(s, -t), t) if smooth else np.float32(0)


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, boundscheck=False)
def _step(start, stop, dual, chi, previous, smooth, inverse, t, relaxation, sums):
    nx, ny, nz = chi.shape
    for i in range(start, stop):
        right = chi[i + 1 if i + 1 < nx else 0]
        here, old = chi[i], previous[i]
        moved, square = 0.0, 0.0
        for j in range(ny):
            c, cx, cy = here[j], right[j], here[j + 1 if j + 1 < ny else 0]
            sx, sy, sz = dual[0, i, j], dual[1, i, j], dual[2, i, j]
            ex, ey, ez = smooth[0, i, j], smooth[1, i, j], smooth[2, i, j]
            for k in range(nz):
                sx[k] += relaxation * ((cx[k] - c[k]) * inverse[0] - sx[k] + _cut(sx[k], ex[k], t))
                sy[k] += relaxation * ((cy[k] - c[k]) * inverse[1] - sy[k] + _cut(sy[k], ey[k], t))
            for k in range(nz - 1):
                sz[k] += relaxation * ((c[k + 1] - c[k]) * inverse[2] - sz[k] + _cut(sz[k], ez[k], t))
            k = nz - 1
            sz[k] += relaxation * ((c[0] - c[k]) * inverse[2] - sz[k] + _cut(sz[k], ez[k], t))
            for k in range(nz):
                moved += (c[k] - old[j, k]) ** 2
                square += c[k] ** 2
        sums[i, 0] = moved
        sums[i, 1] = square


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, boundscheck=False)
def _adjoint(start, stop, dual, smooth, out, inverse, t):
    _, nx, ny, nz = dual.shape
    two = np.float32(2)
    for i in range(start, stop):
        left = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            below = j - 1 if j > 0 else ny - 1
            x, xl, ex, exl = dual[0, i, j], dual[0, left, j], smooth[0, i, j], smooth[0, left, j]
            y, yb, ey, eyb = dual[1, i, j], dual[1, i, below], smooth[1, i, j], smooth[1, i, below]
            z, ez, row = dual[2, i, j], smooth[2, i, j], out[i, j]
            for k in range(nz):
                dx = (xl[k] - two * _cut(xl[k], exl[k], t)) - (x[k] - two * _cut(x[k], ex[k], t))
                dy = (yb[k] - two * _cut(yb[k], eyb[k], t)) - (y[k] - two * _cut(y[k], ey[k], t))
                row[k] = dx * inverse[0] + dy * inverse[1]
            last = nz - 1
            row[0] += ((z[last] - two * _cut(z[last], ez[last], t)) - (z[0] - two * _cut(z[0], ez[0], t))) * inverse[2]
            for k in range(1, nz):
                before = z[k - 1] - two * _cut(z[k - 1], ez[k - 1], t)
                row[k] += (before - (z[k] - two * _cut(z[k], ez[k], t))) * inverse[2]
