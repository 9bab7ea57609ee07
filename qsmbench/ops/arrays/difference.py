"""Forward differences on a cyclic grid, their adjoint, and the spectrum of the Laplacian that they make."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.grid import Grid, Triple
from qsmbench.ops.arrays.array import is_numpy, namespace
from qsmbench.ops.arrays.fft import Shape
from qsmbench.threads import over_planes


def gradient(volume: Any, voxel_size: Triple, out: Any = None) -> Any:
    """Compute cyclic forward differences along the three axes.

    Args:
        volume: (nx, ny, nz) float32.
        voxel_size: mm.
        out: (3, nx, ny, nz) float32 to write to; by default a new array.

    Returns:
        (3, nx, ny, nz) float32, unit of `volume` per mm.
    """
    xp = namespace(volume)
    if not is_numpy(volume):
        parts = [(xp.roll(volume, -1, axis=a) - volume) / d for a, d in enumerate(voxel_size)]
        return _stacked(xp, parts, out)
    out = np.empty((3, *volume.shape), np.float32) if out is None else out
    over_planes(_gradient, volume.shape[0], volume, out, inverse_spacing(voxel_size))
    return out


def gradient_adjoint(vector: Any, voxel_size: Triple, out: Any = None) -> Any:
    """Apply the adjoint of `gradient`, which is minus the divergence by backward differences.

    Args:
        vector: (3, nx, ny, nz) float32.
        voxel_size: mm.
        out: (nx, ny, nz) float32 to write to; by default a new array.

    Returns:
        (nx, ny, nz) float32, unit of `vector` per mm.
    """
    xp = namespace(vector)
    if not is_numpy(vector):
        x, y, z = ((xp.roll(vector[a, ...], 1, axis=a) - vector[a, ...]) / d for a, d in enumerate(voxel_size))
        result = x + y + z
        if out is None:
            return result
        out[...] = result
        return out
    out = np.empty(vector.shape[1:], np.float32) if out is None else out
    over_planes(_gradient_adjoint, out.shape[0], vector, out, inverse_spacing(voxel_size))
    return out


def _stacked(xp: Any, parts: list[Any], out: Any) -> Any:
    if out is None:
        return xp.stack(parts)
    for i, part in enumerate(parts):
        out[i, ...] = part
    return out


def inverse_spacing(voxel_size: Triple, factor: float = 1.0) -> np.ndarray:
    """Return factor / voxel size for each axis, as the compiled stencils take it: (3,) float32."""
    return (factor / np.array(voxel_size)).astype(np.float32)


@compiled(fastmath={"contract"})
def _gradient(start, stop, volume, out, inverse):
    nx, ny, nz = volume.shape
    for i in range(start, stop):
        right = i + 1 if i + 1 < nx else 0
        for j in range(ny):
            above = j + 1 if j + 1 < ny else 0
            c, cx, cy = volume[i, j], volume[right, j], volume[i, above]
            gx, gy, gz = out[0, i, j], out[1, i, j], out[2, i, j]
            for k in range(nz):
                gx[k] = (cx[k] - c[k]) * inverse[0]
                gy[k] = (cy[k] - c[k]) * inverse[1]
            for k in range(nz - 1):
                gz[k] = (c[k + 1] - c[k]) * inverse[2]
            gz[nz - 1] = (c[0] - c[nz - 1]) * inverse[2]


@compiled(fastmath={"contract"})
def _gradient_adjoint(start, stop, vector, out, inverse):
    nx, ny, nz = out.shape
    for i in range(start, stop):
        left = i - 1 if i > 0 else nx - 1
        for j in range(ny):
            below = j - 1 if j > 0 else ny - 1
            x, xl = vector[0, i, j], vector[0, left, j]
            y, yb = vector[1, i, j], vector[1, i, below]
            z, row = vector[2, i, j], out[i, j]
            for k in range(nz):
                row[k] = (xl[k] - x[k]) * inverse[0] + (yb[k] - y[k]) * inverse[1]
            row[0] += (z[nz - 1] - z[0]) * inverse[2]
            for k in range(1, nz):
                row[k] += (z[k - 1] - z[k]) * inverse[2]


@lru_cache(maxsize=4)
def laplacian_spectrum(grid: Grid, shape: Shape) -> np.ndarray:
    """Compute the eigenvalues of gradient_adjoint(gradient(·)), minus the Laplacian, on the half spectrum.

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


@lru_cache(maxsize=4)
def difference_spectra(grid: Grid, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the factors that `gradient` multiplies a half spectrum by, for each axis.

    Args:
        grid: gives the voxel size.
        shape: padded shape of the transform.

    Returns:
        Three complex64 arrays, (nx, 1, 1), (1, ny, 1) and (1, 1, nz // 2 + 1), read-only, 1/mm.
    """
    spectra = []
    for k, d in zip(grid.kspace_axes(shape), grid.voxel_size, strict=True):
        spectrum = (np.expm1(2j * np.pi * np.asarray(k, float) * d) / d).astype(np.complex64)
        spectrum.flags.writeable = False
        spectra.append(spectrum)
    return spectra[0], spectra[1], spectra[2]
