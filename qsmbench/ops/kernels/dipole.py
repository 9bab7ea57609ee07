"""The unit dipole in k-space, as the methods invert it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.ops.arrays.fft import Shape
from qsmbench.threads import over_planes


@lru_cache(maxsize=4)
def dipole_kernel(grid: Grid, shape: Shape) -> np.ndarray:
    """Compute D(k) = 1/3 − (k·b)²/k² on the half spectrum of a volume of `shape`, with D(0) = 0.

    The field [ppm of B0] is the cyclic convolution of χ [ppm] with it; D(0) = 0 makes the mean field zero.
    At an even Nyquist frequency +k and −k are one sample. There D is the mean over both signs, so that the
    products of different components of k vanish; otherwise an oblique B0 would give a kernel whose field is not real.

    Args:
        grid: gives voxel size and B0 direction.
        shape: padded shape of the transform.

    Returns:
        (nx, ny, nz // 2 + 1) float32, read-only, without unit.

    Reference:
        Marques & Bowtell 2005, doi:10.1002/cmr.b.20034; Salomir 2003, doi:10.1002/cmr.b.10083.
    """
    k = [axis.reshape(-1) for axis in grid.kspace_axes(shape)]
    odd = [_without_nyquist(axis, n) for axis, n in zip(k, shape, strict=True)]
    kernel = np.empty((shape[0], shape[1], shape[2] // 2 + 1), np.float32)
    over_planes(_fill, shape[0], kernel, *k, *odd, np.array(grid.b0_dir, np.float32))
    kernel[0, 0, 0] = 0
    kernel.flags.writeable = False
    return kernel


def truncated_inverse(grid: Grid, shape: Shape, threshold: float) -> np.ndarray:
    """Compute 1/D, with |D| replaced by the threshold where it is smaller (with the sign of D), and zero at k = 0.

    Args:
        grid: gives voxel size and B0 direction.
        shape: padded shape of the transform.
        threshold: smallest |D| that is divided by.

    Returns:
        (nx, ny, nz // 2 + 1) float32, without unit.

    Reference:
        Shmueli 2009, doi:10.1002/mrm.22135.
    """
    kernel = dipole_kernel(grid, shape)
    inverse = 1 / np.copysign(np.maximum(np.abs(kernel), np.float32(threshold)), kernel)
    inverse[0, 0, 0] = 0
    return inverse


def _without_nyquist(k: np.ndarray, n: int) -> np.ndarray:
    """Return the frequencies of one axis of `n` samples, with zero at an even Nyquist frequency."""
    k = k.copy()
    if n % 2 == 0:
        k[n // 2] = 0
    return k


@compiled(error_model="numpy")
def _fill(start, stop, kernel, kx, ky, kz, odd_x, odd_y, odd_z, b):
    """Write D to the planes `start` … `stop`; the products of two components come from the `odd` axes."""
    third, two = np.float32(1 / 3), np.float32(2)
    _, ny, nz = kernel.shape
    for i in range(start, stop):
        for j in range(ny):
            k_squared = kx[i] ** 2 + ky[j] ** 2
            along = (b[0] * kx[i]) ** 2 + (b[1] * ky[j]) ** 2 + two * b[0] * b[1] * odd_x[i] * odd_y[j]
            cross = two * b[2] * (b[0] * odd_x[i] + b[1] * odd_y[j])
            for k in range(nz):
                kz_squared = kz[k] ** 2
                along_z = along + b[2] ** 2 * kz_squared + cross * odd_z[k]
                kernel[i, j, k] = third - along_z / (k_squared + kz_squared)
