"""Spherical mean value (SMV) kernels on voxels of any shape."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.fft import Shape, rfftn

_PARTS = 6  # sub-points along each side of a voxel; the weights at the surface are right to about 1/6³


def sphere_weights(radius: float, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Share of each voxel in a ball around the central voxel's middle.

    A voxel that the surface cuts counts with the part of it that lies in the ball. On voxels that are no cubes, the
    weights of a true ball would not average a harmonic field like x² − z² to its value at the centre: a voxel of
    side d adds d²/12 to the second moment along its axis. So the ball is flattened along the longer sides until the
    moments are equal, and what is left is shifted between the centre and its neighbours. Then harmonic
    polynomials up to third order keep their value exactly.

    Args:
        radius: mm, not smaller than the longest side of a voxel.
        voxel_size: mm.

    Returns:
        (2hx + 1, 2hy + 1, 2hz + 1) float64 with sum 1; all but possibly the central one are ≥ 0.
    """
    size = np.array(voxel_size)
    squares = radius**2 - 5 / 12 * (size**2 - size.min() ** 2)
    for _ in range(3):
        weights = _ellipsoid(np.sqrt(squares), size)
        moments = _second_moments(weights, size)
        squares = np.maximum(squares - 5 * (moments - moments.min()), squares.max() / 4)
    _equalise(weights, moments, size)
    return weights


def _ellipsoid(semiaxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    half = np.maximum(np.floor(semiaxes / size + 0.5).astype(int), 1)
    sub = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    x, y, z = (
        (np.arange(-h, h + 1)[:, None] + sub).ravel() * d / a for h, d, a in zip(half, size, semiaxes, strict=True)
    )
    inside = (x**2)[:, None, None] + (y**2)[:, None] + z**2 <= 1
    nx, ny, nz = 2 * half + 1
    weights = inside.reshape(nx, _PARTS, ny, _PARTS, nz, _PARTS).sum(axis=(1, 3, 5)).astype(float)
    return weights / weights.sum()


def _second_moments(weights: np.ndarray, size: np.ndarray) -> np.ndarray:
    x, y, z = ((np.arange(n) - n // 2) * d for n, d in zip(weights.shape, size, strict=True))
    return np.array([(weights * square).sum() for square in ((x**2)[:, None, None], (y**2)[:, None], z**2)])


def _equalise(weights: np.ndarray, moments: np.ndarray, size: np.ndarray) -> None:
    """Move weight, in place, from the centre to its neighbours until the second moments are equal."""
    centre = np.array(weights.shape) // 2
    for axis, share in enumerate((moments.max() - moments) / (2 * size**2)):
        for step in (-1, 1):
            neighbour = centre.copy()
            neighbour[axis] += step
            weights[tuple(neighbour)] += share
        weights[tuple(centre)] -= 2 * share


def smv_kernel(grid: Grid, shape: Shape, radius: float) -> np.ndarray:
    """Half spectrum of the SMV kernel of a ball; it is real, for the ball is symmetric.

    Args:
        grid: gives the voxel size.
        shape: padded shape of the transform, not smaller than the ball.
        radius: mm.

    Returns:
        (nx, ny, nz // 2 + 1) float32, 1 at k = 0.
    """
    weights = sphere_weights(radius, grid.voxel_size)
    around = [np.arange(-(n // 2), n // 2 + 1) % size for n, size in zip(weights.shape, shape, strict=True)]
    volume = np.zeros(shape, np.float32)
    np.add.at(volume, np.ix_(*around), weights.astype(np.float32))
    return np.ascontiguousarray(rfftn(volume).real)
