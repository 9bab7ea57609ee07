"""High-pass filters of the phase within axial slices, for susceptibility-weighted imaging."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy import ndimage

from qsmbench.grid import Grid
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.arrays.slabs import in_plane
from qsmbench.threads import n_threads

ROOM = 0.5
"""Zeros around the mask, as a share of its own size: what the filter wraps around is far."""


def homodyne(magnitude: np.ndarray, phase: np.ndarray, mask: np.ndarray, grid: Grid, resolution: float) -> np.ndarray:
    """Compute the phase relative to that of the complex image at low resolution (homodyne filter).

    The low-resolution image has the central part of k-space within the slices, |k| < 1/(2·resolution), times a Hann
    window. Only the signal in the mask is used.

    Args:
        magnitude: (nx, ny, nz) a.u.
        phase: (nx, ny, nz) rad, wrapped or not.
        mask: (nx, ny, nz) bool.
        grid: of the volumes.
        resolution: voxel size of the low-resolution image, mm.

    Returns:
        (nx, ny, nz) float32, rad within ±π, zero outside the mask.

    Reference:
        Noll 1991, doi:10.1109/42.79473; for susceptibility-weighted imaging: Haacke 2004, doi:10.1002/mrm.20198.
    """
    axes = in_plane(grid)
    extent = max(n * d for n, d in zip(mask.shape, grid.voxel_size, strict=True))
    window = Window.around(mask, grid, pad=ROOM * extent)
    signal = window.take(magnitude, mask) * np.exp(1j * window.take(phase, mask))
    spectrum = scipy.fft.fftn(signal, axes=axes, workers=n_threads())
    for axis in axes:
        k = np.abs(scipy.fft.fftfreq(window.shape[axis], grid.voxel_size[axis])) * 2 * resolution
        hann = np.where(k < 1, 0.5 * (1 + np.cos(np.pi * np.minimum(k, 1))), 0).astype(np.float32)
        spectrum *= hann.reshape([-1 if a == axis else 1 for a in range(3)])
    low = scipy.fft.ifftn(spectrum, axes=axes, workers=n_threads(), overwrite_x=True)
    return window.put(np.angle(signal * np.conj(low)).astype(np.float32), mask)


def without_trend(phase: np.ndarray, mask: np.ndarray, grid: Grid, sigma: float) -> np.ndarray:
    """Subtract the Gaussian mean of a phase within the mask and the slice.

    Args:
        phase: (nx, ny, nz) rad, unwrapped.
        mask: (nx, ny, nz) bool.
        grid: of the volumes.
        sigma: standard deviation of the Gaussian, voxels.

    Returns:
        (nx, ny, nz) float32, rad, zero outside the mask.
    """
    widths = [sigma if a in in_plane(grid) else 0 for a in range(3)]
    inside = mask.astype(np.float32)
    total = ndimage.gaussian_filter(phase * inside, widths, mode="constant")
    weight = ndimage.gaussian_filter(inside, widths, mode="constant")
    rest = np.zeros(mask.shape, np.float32)
    np.subtract(phase, total / np.maximum(weight, np.finfo(np.float32).tiny), out=rest, where=mask)
    return rest
