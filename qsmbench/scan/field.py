"""χ → field: the convolution of the susceptibility with the field of a cuboid voxel."""

from __future__ import annotations

import numpy as np
import scipy.fft

from qsmbench.compiled import compiled
from qsmbench.grid import Grid
from qsmbench.scan.prism import spectra
from qsmbench.threads import n_threads, over_planes

PLANES = 4  # planes transformed at a time: enough to fill the threads, few enough to stay in the cache


def field_of(chi: np.ndarray, grid: Grid, *, ambient: float = 0.0) -> np.ndarray:
    """Compute the relative field of a susceptibility distribution in free space, without wrap-around.

    The source is χ − `ambient` on the grid, and zero beyond. The transform is padded to twice the grid, axis by axis,
    so that about three volumes are needed in addition to the kernel (one volume; four if B0 is oblique).

    Args:
        chi: (nx, ny, nz) float, ppm.
        grid: voxel size and B0 direction.
        ambient: ppm, χ of the medium beyond the grid.

    Returns:
        (nx, ny, nz) float32, ppm of B0, at the voxel centres, without the uniform field of the ambient medium.
    """
    half = tuple(scipy.fft.next_fast_len(n, real=True) for n in grid.shape)
    kernel = spectra(half, grid.voxel_size, grid.b0_dir)
    nothing = np.zeros((0, 0, 0), np.float32)
    even, xy, xz, yz = (kernel.get(odd, nothing) for odd in ((), (0, 1), (0, 2), (1, 2)))
    workers = n_threads()

    source = np.asarray(chi, np.float32)
    source = source - np.float32(ambient) if ambient else source
    (nx, ny, nz), (px, py, pz) = grid.shape, (2 * n for n in half)
    spectrum = scipy.fft.rfft(source, n=px, axis=0, workers=workers)
    del source
    for start in range(0, px // 2 + 1, PLANES):
        part = slice(start, start + PLANES)
        planes = scipy.fft.fft(spectrum[part], n=py, axis=1, workers=workers)
        planes = scipy.fft.fft(planes, n=pz, axis=2, workers=workers)
        over_planes(_multiply, py, planes, start, *_fold(py), *_fold(pz), even, xy, xz, yz)
        planes = scipy.fft.ifft(planes, axis=2, workers=workers, overwrite_x=True)[:, :, :nz]
        spectrum[part] = scipy.fft.ifft(planes, axis=1, workers=workers)[:, :ny]
    return scipy.fft.irfft(spectrum, n=px, axis=0, workers=workers)[:nx]


def _fold(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return |frequency| and its sign, for each index of a transform of even length `n`."""
    frequency = np.rint(np.fft.fftfreq(n) * n).astype(np.int64)
    return np.abs(frequency), np.where(frequency < 0, -1, 1).astype(np.float32)


@compiled()
def _multiply(first, last, planes, start, fold_y, sign_y, fold_z, sign_z, even, xy, xz, yz):
    """Multiply the planes kx = start, start + 1, … by the kernel; odd parts change sign with ky, kz."""
    for p in range(first, last):
        j, sy = fold_y[p], sign_y[p]
        for i in range(planes.shape[0]):
            for q in range(planes.shape[2]):
                k, sz = fold_z[q], sign_z[q]
                value = even[start + i, j, k]
                if xy.size:
                    value += sy * xy[start + i, j, k]
                if xz.size:
                    value += sz * xz[start + i, j, k]
                if yz.size:
                    value += sy * sz * yz[start + i, j, k]
                planes[i, p, q] *= value
