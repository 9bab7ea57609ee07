"""The phase at TE = 0, estimated from two echoes."""

from __future__ import annotations

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.ops.phase.unwrap import common_turns, magnitude_or_ones, resolves_turns, unwrap_part
from qsmbench.ops.phase.wrap import wrap


def estimate_offset(
    phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, grid: Grid, te: np.ndarray, sigma: float
) -> np.ndarray:
    """Estimate the phase at TE = 0 over a connected mask from the first two echoes, smoothed (MCPC-3D-S).

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped; two echoes at least.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool, connected.
        grid: voxel size.
        te: (n_echoes,) s.
        sigma: standard deviation of the Gaussian that smooths, mm; 0: no smoothing.

    Returns:
        (nx, ny, nz) float32, rad, zero outside the mask.

    Reference:
        Eckstein 2018, doi:10.1002/mrm.26963.
    """
    difference = unwrap_echo_difference(phase, magnitude, mask, te)
    return extrapolate_offset(phase, magnitude, difference, mask, grid, te, sigma)


def unwrap_echo_difference(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, te: np.ndarray) -> np.ndarray:
    """Unwrap the phase difference of the first two echoes over a connected mask.

    Multiples of 2π common to all voxels are found from the later echoes, if there are any.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped; two echoes at least.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool, connected.
        te: (n_echoes,) s.

    Returns:
        (nx, ny, nz) float32, rad; meaningless outside the mask.
    """
    weight = magnitude[..., 0] * magnitude[..., 1]
    difference = unwrap_part(wrap(phase[..., 1] - phase[..., 0]), weight, mask)
    ratios = {e: (te[e] - te[0]) / (te[1] - te[0]) for e in range(2, te.size)}
    later = [((phase[..., e] - phase[..., 0])[mask], r) for e, r in ratios.items() if resolves_turns(r)]
    return difference + np.float32(2 * np.pi * common_turns(difference[mask], weight[mask], later))


def extrapolate_offset(
    phase: np.ndarray,
    magnitude: np.ndarray,
    difference: np.ndarray,
    mask: np.ndarray,
    grid: Grid,
    te: np.ndarray,
    sigma: float,
) -> np.ndarray:
    """Extrapolate the first echo to TE = 0 by the unwrapped difference to the second one, and smooth the result.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped; two echoes at least.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        difference: (nx, ny, nz) rad, see `unwrap_echo_difference`.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) s.
        sigma: standard deviation of the Gaussian that smooths, mm; 0: no smoothing.

    Returns:
        (nx, ny, nz) float32, rad, zero outside the mask.
    """
    offset = phase[..., 0] - np.float32(te[0] / (te[1] - te[0])) * difference
    return smooth_phase(offset, magnitude_or_ones(magnitude[..., 0] * magnitude[..., 1], mask), mask, grid, sigma)
