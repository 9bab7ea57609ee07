"""The unit dipole in k-space, as the methods invert it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.fft import Shape


@lru_cache(maxsize=4)
def dipole_kernel(grid: Grid, shape: Shape) -> np.ndarray:
    """D(k) = 1/3 − (k·b)²/k² on the half spectrum of a volume of `shape`, with D(0) = 0.

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
    k = grid.kspace_axes(shape)
    odd = [_without_nyquist(axis, n) for axis, n in zip(k, shape, strict=True)]
    bx, by, bz = (np.float32(b) for b in grid.b0_dir)

    k_squared = (k[0] ** 2 + k[1] ** 2) + k[2] ** 2
    k_squared[0, 0, 0] = 1
    along = (bx * k[0]) ** 2 + (by * k[1]) ** 2 + 2 * bx * by * odd[0] * odd[1] + (bz * k[2]) ** 2
    along += (2 * bz * (bx * odd[0] + by * odd[1])) * odd[2]
    along /= k_squared
    kernel = np.subtract(np.float32(1 / 3), along, out=along)
    kernel[0, 0, 0] = 0
    kernel.flags.writeable = False
    return kernel


def _without_nyquist(k: np.ndarray, n: int) -> np.ndarray:
    """Frequencies of one axis of `n` samples, with zero at an even Nyquist frequency."""
    k = k.copy()
    if n % 2 == 0:
        k.reshape(-1)[n // 2] = 0
    return k
