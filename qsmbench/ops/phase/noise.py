"""Noise of a scan, from its phase or its magnitude."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

from qsmbench.ops.phase.echo_line import echo_weights, fit_line


def estimate_noise(
    phase: np.ndarray,
    signal: np.ndarray,
    te: np.ndarray,
    smoothing: tuple[float, float],
    magnitude: np.ndarray,
    mask: np.ndarray,
) -> float:
    """Estimate the standard deviation of the noise in real and imaginary part, by a method that suits the echoes.

    Three echoes or more: from the residuals of straight lines. Two: from the residuals of a slope through the smoothed
    offset. One, or two without smoothing: from the first magnitude.

    Args:
        phase: (n_voxels, n_echoes) rad, unwrapped, without its offset; a fitted slope may be subtracted.
        signal: (n_voxels, n_echoes) magnitude in the same voxels, a.u.
        te: (n_echoes,) float32, s.
        smoothing: of the offset, as for `slope_noise`.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.

    Returns:
        σ, a.u.
    """
    if te.size > 2:
        return noise_from_residuals(phase, signal, te)
    own, squares = smoothing
    freedom = 1 - 2 * own + squares
    if te.size == 1 or freedom < 0.1:
        return noise_from_magnitude(magnitude[..., 0], mask)
    weight = echo_weights(signal)
    slope = (weight * phase) @ te / (weight @ te**2)
    return _from_chi_squared(weight, phase - slope[:, None] * te, signal, 1) / freedom**0.5


def noise_from_residuals(values: np.ndarray, magnitude: np.ndarray, te: np.ndarray) -> float:
    """Estimate the standard deviation of the noise in real and imaginary part from the residuals of straight lines.

    In each voxel, the sum of (magnitude · residual)² over σ² is χ² distributed with n_echoes − 2 degrees of freedom.
    The median over all voxels is compared with that of the distribution, so that it is robust to voxels that do not
    follow a line, as in flowing blood.

    Args:
        values: (n_voxels, n_echoes) unwrapped phase, rad, or logarithm of the magnitude.
        magnitude: (n_voxels, n_echoes) a.u.
        te: (n_echoes,) float32, s; three echoes at least.

    Returns:
        σ, a.u. of the magnitude.
    """
    weight = echo_weights(magnitude)
    intercept, slope, _ = fit_line(values, weight, te)
    return _from_chi_squared(weight, values - intercept[:, None] - slope[:, None] * te, magnitude, te.size - 2)


def _from_chi_squared(weight: np.ndarray, residual: np.ndarray, magnitude: np.ndarray, freedom: int) -> float:
    power = (weight * residual**2).sum(axis=1)[magnitude.any(axis=1)]
    return float(np.sqrt(np.median(power) / (2 * gammaincinv(freedom / 2, 0.5)))) if power.size else 0.0


def noise_from_magnitude(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Estimate the standard deviation of the noise of a magnitude from the magnitude alone.

    There are two estimates: from the differences between neighbours in the mask (`noise_from_texture`), and from the
    lower quartile outside the mask, as if all of that were air with noise. Both are biased upwards, the first by
    anatomy, the second by tissue outside the mask. So the smaller one is taken, unless it is zero.

    Args:
        magnitude: (nx, ny, nz) a.u.
        mask: (nx, ny, nz) bool.

    Returns:
        σ, a.u.

    Reference:
        Air: Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618 (Rayleigh distribution).
    """
    found = [noise_from_texture(magnitude, mask)]
    if not mask.all():
        found.append(float(np.percentile(magnitude[~mask], 25)) / np.sqrt(-2 * np.log(0.75)))
    return min((sigma for sigma in found if sigma > 0), default=0.0)


def noise_from_texture(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Estimate the standard deviation of the noise of a magnitude from the differences between neighbours.

    The second difference is taken along each axis in turn. It vanishes for a sum of functions that are linear along
    one of the axes, and so for most of the anatomy, while independent noise grows by √6 each time. The median of the
    absolute values is insensitive to the edges that remain. Correlated noise, as after interpolation, is
    underestimated.

    Args:
        magnitude: (nx, ny, nz) a.u., of which most lies well above the noise.
        mask: (nx, ny, nz) bool.

    Returns:
        σ, a.u.; 0 if no 3 × 3 × 3 voxels fit into the mask.

    Reference:
        In two dimensions: Immerkær 1996, doi:10.1006/cviu.1996.0060; median: Donoho & Johnstone 1994,
        doi:10.1093/biomet/81.3.425.
    """
    difference, inside, gain = magnitude.astype(np.float32), mask, 1.0
    for axis, n in enumerate(mask.shape):
        if n < 3:  # a single slice
            continue
        before, here, after = ((slice(None),) * axis + (part,) for part in (slice(0, -2), slice(1, -1), slice(2, None)))
        difference = difference[before] - 2 * difference[here] + difference[after]
        inside = inside[before] & inside[here] & inside[after]
        gain *= 6**0.5
    if not inside.any():
        return 0.0
    return float(np.median(np.abs(difference[inside])) / (0.6745 * gain))
