"""Gaussian smoothing inside a mask."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.fft import Shape, Window, convolve


def smooth_phase(phase: np.ndarray, weight: np.ndarray, mask: np.ndarray, grid: Grid, sigma: float) -> np.ndarray:
    """Smooth a phase, known modulo 2π, over a mask.

    The second of two passes smooths the residual of the first. That removes the bias which a single pass has where the
    phase is curved and, more so, at the edge of the mask.

    Args:
        phase: (nx, ny, nz) rad, wrapped or not.
        weight: (nx, ny, nz), ≥ 0.
        mask: (nx, ny, nz) bool.
        grid: of the volumes.
        sigma: standard deviation of the Gaussian, mm; 0: no smoothing.

    Returns:
        (nx, ny, nz) float32, rad within ±2π (or as given, if not smoothed), zero outside the mask.
    """
    if sigma == 0:
        return (phase * mask).astype(np.float32, copy=False)
    window = Window.around(mask, grid, pad=4 * sigma)
    kernel = gaussian_spectrum(grid, window.shape, sigma)
    phase, weight = window.take(phase), window.take(weight * mask)
    smooth = _mean_phase(phase, weight, kernel)
    smooth += _mean_phase(phase - smooth, weight, kernel)
    return window.put(smooth, mask)


def smoothing_weights(grid: Grid, sigma: float) -> tuple[float, float]:
    """Compute the effect of `smooth_phase` on noise, far from the edge of the mask and for uniform weights.

    Both passes together multiply the spectrum by 2G − G², G being the transfer function of the Gaussian, whose powers
    are separable.

    Args:
        grid: gives the voxel size.
        sigma: standard deviation of the Gaussian, mm.

    Returns:
        the weight of a voxel's own phase in its smoothed phase, and the sum of the squares of the weights of all
        voxels, which is the ratio of the variance after smoothing to that before. Both are 1 if sigma is 0.
    """
    means = np.ones(5)
    for power in range(1, 5):
        for d in grid.voxel_size:
            means[power] *= np.exp(-2 * power * (np.pi * sigma * np.fft.fftfreq(512, d)) ** 2).mean()
    return float(2 * means[1] - means[2]), float(4 * means[2] - 4 * means[3] + means[4])


def _mean_phase(phase: np.ndarray, weight: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    real, imaginary = compute(_signal, phase, weight, out=(np.empty_like(phase), np.empty_like(phase)))
    return compute(_angle, convolve(real, kernel), convolve(imaginary, kernel))


def _signal(xp, phase, weight):
    return weight * xp.cos(phase), weight * xp.sin(phase)


def _angle(xp, real, imaginary):
    return xp.arctan2(imaginary, real)


def gaussian_spectrum(grid: Grid, shape: Shape, sigma: float) -> np.ndarray:
    """Compute the transfer function of a Gaussian with unit sum.

    Args:
        grid: gives the voxel size.
        shape: of the transform.
        sigma: standard deviation, mm.

    Returns:
        (nx, ny, nz // 2 + 1) float32, without unit.
    """
    kx, ky, kz = (np.exp(-2 * (np.pi * sigma * k) ** 2) for k in grid.kspace_axes(shape))
    return kx * ky * kz
