"""The field of a uniformly magnetised cuboid, in closed form: the kernel of the forward model.

Reconstructions invert the dipole in k-space; if the simulator used it too, it would favour them. Here each voxel is a
cuboid of uniform χ, whose demagnetising tensor N is known exactly (Joseph & Schlömann 1965,
doi:10.1063/1.1703091). With the Lorentz sphere, the relative field at the centre of another voxel is

    ΔB/B0 = χ·(δ/3 − bᵀ N b),    δ = 1 in the voxel itself and 0 elsewhere.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft

from qsmbench.compiled import compiled
from qsmbench.grid import Triple
from qsmbench.threads import over_planes


@compiled()
def _octant_planes(start, stop, out, d0, d1, d2, w0, w1, w2, third):
    """Compute third differences of the corner function, for the planes i = start … stop − 1 of the octant.

    The corner function is Σ_a w_a·atan(…) on the diagonal of the tensor (third < 0), and off it w0·log(t + r),
    t being the coordinate along the axis `third` that is neither row nor column.
    """
    n1, n2 = out.shape[1], out.shape[2]
    lower = np.empty((n1 + 1, n2 + 1))
    upper = np.empty((n1 + 1, n2 + 1))
    for i in range(start, stop + 1):
        x = (i - 0.5) * d0
        for j in range(n1 + 1):
            y = (j - 0.5) * d1
            for k in range(n2 + 1):
                z = (k - 0.5) * d2
                r = math.sqrt(x * x + y * y + z * z)
                value = 0.0
                if third >= 0:
                    t = x if third == 0 else (y if third == 1 else z)
                    value = w0 * math.log(t + r)
                else:
                    if w0 != 0:
                        value += w0 * math.atan(y * z / (x * r))
                    if w1 != 0:
                        value += w1 * math.atan(z * x / (y * r))
                    if w2 != 0:
                        value += w2 * math.atan(x * y / (z * r))
                upper[j, k] = value
        if i > start:
            for j in range(n1):
                for k in range(n2):
                    at_upper = upper[j + 1, k + 1] - upper[j, k + 1] - upper[j + 1, k] + upper[j, k]
                    at_lower = lower[j + 1, k + 1] - lower[j, k + 1] - lower[j + 1, k] + lower[j, k]
                    out[i - 1, j, k] = at_upper - at_lower
        lower, upper = upper, lower


def _octant(shape: tuple[int, int, int], voxel_size: Triple, weights: Triple, third: int = -1) -> np.ndarray:
    out = np.empty(shape, np.float32)
    over_planes(_octant_planes, shape[0], out, *voxel_size, *weights, third)
    return out


def diagonal(shape: tuple[int, int, int], voxel_size: Triple, b0_dir: Triple) -> np.ndarray:
    """Compute the part of the kernel that is even along every axis: δ/3 − Σ_a b_a² N_aa.

    Args:
        shape: number of voxel distances 0, 1, … along each axis.
        voxel_size: mm.
        b0_dir: unit vector in voxel axes.

    Returns:
        float32 of `shape`: relative field per unit χ, at the distance of i, j, k voxels.
    """
    bx, by, bz = (float(b * b / (4 * np.pi)) for b in b0_dir)
    kernel = -_octant(shape, voxel_size, (bx, by, bz))
    kernel[0, 0, 0] += 1 / 3
    return kernel


def off_diagonal(shape: tuple[int, int, int], voxel_size: Triple, b0_dir: Triple, u: int, v: int) -> np.ndarray:
    """Compute the part −2·b_u·b_v·N_uv of the kernel: odd along the axes u and v, even along the third.

    Arguments and result as for `diagonal`.
    """
    weight = 2 * b0_dir[u] * b0_dir[v] / (4 * np.pi)
    return _octant(shape, voxel_size, (weight, 0.0, 0.0), third=3 - u - v)


def _spectrum(octant: np.ndarray, odd: tuple[int, ...]) -> np.ndarray:
    """Compute the spectrum, on non-negative frequencies, of the periodic kernel whose first octant is given.

    Even axes are cosine transforms, odd ones sine transforms; two odd axes give (−i)² = −1, so all is real.
    """
    for axis in range(3):
        if axis in odd:
            inner = [slice(None)] * 3
            inner[axis] = slice(1, -1)
            transformed = np.zeros_like(octant)
            if octant.shape[axis] > 2:  # else there is no frequency between zero and Nyquist
                transformed[tuple(inner)] = scipy.fft.dst(octant[tuple(inner)], type=1, axis=axis)
            octant = transformed
        else:
            octant = scipy.fft.dct(octant, type=1, axis=axis, overwrite_x=True)
    return -octant if odd else octant


@lru_cache(maxsize=2)
def spectra(half: tuple[int, int, int], voxel_size: Triple, b0_dir: Triple) -> dict[tuple[int, ...], np.ndarray]:
    """Compute real spectra of the kernel on a periodic grid of 2·`half` voxels, on its frequencies 0…half.

    Args:
        half: half the period along each axis, in voxels.
        voxel_size: mm.
        b0_dir: unit vector in voxel axes.

    Returns:
        float32 spectra of shape half + 1, by the axes along which they are odd: () for the part that is even
        along all, and (u, v) where b0_dir has both components.
    """
    nx, ny, nz = (n + 1 for n in half)
    shape = (nx, ny, nz)
    parts: dict[tuple[int, ...], np.ndarray] = {(): _spectrum(diagonal(shape, voxel_size, b0_dir), ())}
    for u, v in ((0, 1), (0, 2), (1, 2)):
        if abs(b0_dir[u] * b0_dir[v]) > 1e-9:
            parts[(u, v)] = _spectrum(off_diagonal(shape, voxel_size, b0_dir, u, v), (u, v))
    return parts
