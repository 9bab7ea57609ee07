"""Straight lines over echo time in many voxels at once, and the noise of the field that they give."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

_CHUNK = 1 << 16  # voxels whose noise is worked out at a time


def echo_weights(magnitude: np.ndarray) -> np.ndarray:
    """Magnitude², to which the inverse variance of the phase (and of the magnitude's logarithm) is proportional.

    Args:
        magnitude: (n_voxels, n_echoes) a.u.

    Returns:
        (n_voxels, n_echoes) float32. Without any signal nothing is known, so all echoes count alike.
    """
    weight = np.square(magnitude, dtype=np.float32)
    weight[weight.sum(axis=1) == 0] = 1
    return weight


def fit_line(values: np.ndarray, weight: np.ndarray, te: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares of intercept + slope · te, in each voxel.

    Args:
        values: (n_voxels, n_echoes).
        weight: (n_voxels, n_echoes), not all zero in a voxel.
        te: (n_echoes,) float32, s.

    Returns:
        intercept: (n_voxels,) at TE = 0; slope: (n_voxels,) per s, near zero where one echo alone has weight; and
        information: (n_voxels,) inverse variance of the intercept if the weights are the echoes'.
    """
    total = weight.sum(axis=1)
    mean_te, mean_value = weight @ te / total, (weight * values).sum(axis=1) / total
    apart = te - mean_te[:, None]
    spread = (weight * apart**2).sum(axis=1)
    # One echo alone with signal says nothing about the slope.
    slope = (weight * apart * values).sum(axis=1) / np.maximum(spread, 1e-6 * total * te[-1] ** 2)
    return mean_value - slope * mean_te, slope, total * spread / (weight @ te**2)


def estimate_noise(
    phase: np.ndarray,
    signal: np.ndarray,
    te: np.ndarray,
    smoothing: tuple[float, float],
    magnitude: np.ndarray,
    mask: np.ndarray,
) -> float:
    """Standard deviation of the noise in real and imaginary part, by the best means that the echoes allow [a.u.].

    Three echoes or more: what is left of straight lines. Two: what is left of a slope through the smoothed offset.
    One, or two without smoothing: the first magnitude.

    Args:
        phase: (n_voxels, n_echoes) rad, unwrapped, without its offset; a fitted slope may be taken off.
        signal: (n_voxels, n_echoes) magnitude in the same voxels, a.u.
        te: (n_echoes,) float32, s.
        smoothing: of the offset, as for `slope_noise`.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
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
    """Standard deviation of the noise in real and imaginary part, from what is left of straight lines [a.u.].

    In each voxel, the sum of (magnitude · residual)² over σ² is χ² distributed with n_echoes − 2 degrees of freedom.
    The median over all voxels is compared with that of the distribution, so that voxels in which there is no line,
    as in the phase of flowing blood, do not count for more than their number.

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
    """Standard deviation of a magnitude's noise, from the magnitude alone [a.u.].

    There are two estimates: from how neighbours differ in the mask (`noise_from_texture`), and from the lower quartile
    outside the mask, if that were all air with noise in it. Both err upwards, the one by the anatomy, the other by the
    tissue that lies outside. So the smaller counts, unless the air is blank.

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
    """Standard deviation of a magnitude's noise, from how it differs between neighbours [a.u.].

    The second difference along each axis is taken in turn. That is blind to all that is the sum of functions which
    are linear along one of the axes, and so to most of the anatomy, while independent noise grows by √6 each time.
    The median of the absolute values leaves out the edges that remain. Noise that neighbours share, as after
    interpolation, is underestimated.

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


def slope_noise(
    weight: np.ndarray, magnitude: np.ndarray, te: np.ndarray, sigma: float, smoothing: tuple[float, float]
) -> np.ndarray:
    """Standard deviation of a slope that is fitted through a smoothed intercept.

    The slope through the origin is Σ w·te·(phase − offset) / Σ w·te². Its offset is the mean of the intercepts that
    the voxels around have, the voxel's own among them. The phase's variance is σ²/magnitude², but no more than
    that of a phase of which nothing is known, π²/3.

    Args:
        weight: (n_voxels, n_echoes) with which the echoes are fitted.
        magnitude: (n_voxels, n_echoes) a.u.
        te: (n_echoes,) float32, s.
        sigma: noise in real and imaginary part, a.u.
        smoothing: weight of the voxel's own intercept in its offset, and sum of the squares of all weights, as
            `ops.arrays.smooth.smoothing_weights` gives them; zeros if the offset is known.

    Returns:
        (n_voxels,) float32, rad/s.
    """
    noise = np.empty(len(weight), np.float32)
    own, squares = smoothing
    for start in range(0, len(weight), _CHUNK):
        part = slice(start, start + _CHUNK)
        w, m = weight[part].astype(float), magnitude[part].astype(float)
        known = sigma**2 * 3 < (np.pi * m) ** 2
        variance = np.where(known, sigma**2 / np.where(known, m**2, 1), np.pi**2 / 3)
        s0, s1, s2 = w.sum(axis=1), w @ te, w @ te.astype(float) ** 2
        through_origin = w * te / s2[:, None]
        determinant = np.maximum(s0 * s2 - s1**2, 1e-6 * s0 * s2)
        intercept = w * (s2[:, None] - s1[:, None] * te) / determinant[:, None]
        pull = (s1 / s2)[:, None]
        own_part = ((through_origin - pull * own * intercept) ** 2 * variance).sum(axis=1)
        others = pull[:, 0] ** 2 * max(squares - own**2, 0) * (intercept**2 * variance).sum(axis=1)
        noise[part] = np.sqrt(own_part + others)
    return noise
