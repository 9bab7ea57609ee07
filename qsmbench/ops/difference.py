"""Forward differences on a cyclic grid, their adjoint, and the spectrum of the Laplacian that they make."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.fft import Shape


def gradient(volume: np.ndarray, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Cyclic forward differences along the three axes.

    Args:
        volume: (nx, ny, nz).
        voxel_size: mm.

    Returns:
        (3, nx, ny, nz), unit of `volume` per mm.
    """
    return np.stack([(np.roll(volume, -1, a) - volume) / volume.dtype.type(d) for a, d in enumerate(voxel_size)])


def gradient_adjoint(vector: np.ndarray, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """The adjoint of `gradient`, which is minus the divergence by backward differences.

    Args:
        vector: (3, nx, ny, nz).
        voxel_size: mm.

    Returns:
        (nx, ny, nz), unit of `vector` per mm.
    """
    parts = [(np.roll(v, 1, a) - v) / v.dtype.type(d) for a, (v, d) in enumerate(zip(vector, voxel_size, strict=True))]
    return parts[0] + parts[1] + parts[2]


@lru_cache(maxsize=4)
def laplacian_spectrum(grid: Grid, shape: Shape) -> np.ndarray:
    """Eigenvalues of gradient_adjoint(gradient(·)), which is minus the Laplacian, on the half spectrum.

    Args:
        grid: gives the voxel size.
        shape: padded shape of the transform.

    Returns:
        (nx, ny, nz // 2 + 1) float32, read-only, 1/mm², not negative.
    """
    terms = [
        (2 * np.sin(np.pi * k * np.float32(d)) / np.float32(d)) ** 2
        for k, d in zip(grid.kspace_axes(shape), grid.voxel_size, strict=True)
    ]
    spectrum = (terms[0] + terms[1]) + terms[2]
    spectrum.flags.writeable = False
    return spectrum
