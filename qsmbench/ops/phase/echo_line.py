"""Straight lines over echo time in many voxels at once, and the noise of their slope."""

from __future__ import annotations

import numpy as np

_CHUNK = 1 << 16  # voxels whose noise is computed at a time


def echo_weights(magnitude: np.ndarray) -> np.ndarray:
    """Compute magnitude², which is proportional to the inverse variance of the phase and of the logarithm.

    Args:
        magnitude: (n_voxels, n_echoes) a.u.

    Returns:
        (n_voxels, n_echoes) float32; 1 for all echoes of a voxel without any signal.
    """
    weight = np.square(magnitude, dtype=np.float32)
    weight[weight.sum(axis=1) == 0] = 1
    return weight


def fit_line(values: np.ndarray, weight: np.ndarray, te: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit intercept + slope · te in each voxel by weighted least squares.

    Args:
        values: (n_voxels, n_echoes).
        weight: (n_voxels, n_echoes), not all zero in a voxel.
        te: (n_echoes,) float32, s.

    Returns:
        intercept: (n_voxels,) at TE = 0; slope: (n_voxels,) per s, near zero where only one echo has weight; and
        information: (n_voxels,) inverse variance of the intercept if the weights are those of the echoes.
    """
    total = weight.sum(axis=1)
    mean_te, mean_value = weight @ te / total, (weight * values).sum(axis=1) / total
    centred = te - mean_te[:, None]
    spread = (weight * centred**2).sum(axis=1)
    # a single echo with signal does not determine the slope
    slope = (weight * centred * values).sum(axis=1) / np.maximum(spread, 1e-6 * total * te[-1] ** 2)
    return mean_value - slope * mean_te, slope, total * spread / (weight @ te**2)


def slope_noise(
    weight: np.ndarray, magnitude: np.ndarray, te: np.ndarray, sigma: float, smoothing: tuple[float, float]
) -> np.ndarray:
    """Compute the standard deviation of a slope that is fitted with a smoothed intercept.

    The slope is Σ w·te·(phase − offset) / Σ w·te². The offset is a weighted mean of the intercepts of the voxel and of
    those around it. The variance of the phase is σ²/magnitude², but at most that of a uniformly distributed phase,
    π²/3.

    Args:
        weight: (n_voxels, n_echoes) of the echoes in the fit.
        magnitude: (n_voxels, n_echoes) a.u.
        te: (n_echoes,) float32, s.
        sigma: standard deviation of the noise in real and imaginary part, a.u.
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
        slope = w * te / s2[:, None]  # the derivative of the slope through a known offset by the phase
        determinant = np.maximum(s0 * s2 - s1**2, 1e-6 * s0 * s2)
        intercept = w * (s2[:, None] - s1[:, None] * te) / determinant[:, None]
        by_offset = (s1 / s2)[:, None]
        own_part = ((slope - by_offset * own * intercept) ** 2 * variance).sum(axis=1)
        others = by_offset[:, 0] ** 2 * max(squares - own**2, 0) * (intercept**2 * variance).sum(axis=1)
        noise[part] = np.sqrt(own_part + others)
    return noise
