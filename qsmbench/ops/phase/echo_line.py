"""Straight lines over echo time in many voxels at once, and the noise of their slope."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

_CHUNK = 1 << 16  # voxels whose noise is computed at a time
_LIMIT = 3.0  # standard deviations beyond which an echo loses weight
_CLEAR = 100.0  # sum of (magnitude/σ)² above which noise does not hide whole turns
_DISAGREEMENT = 0.1  # factor below which other lines are tried


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


def echo_agreement(values: np.ndarray, magnitude: np.ndarray, te: np.ndarray, sigma: float) -> np.ndarray:
    """Find echoes that do not continue the line through the earlier ones, and compute the factor of their weight.

    Echo by echo, the phase is compared with the line through the earlier echoes, with the weights that these received.
    Its deviation is divided by its standard deviation: that of the echo, and that of the line at this echo. The factor
    is 1 up to three standard deviations and falls with the fourth power beyond. Errors of unwrapping, dephasing and
    flow grow with TE, and late echoes have most leverage on a common fit, so that residuals of a common fit would blame
    the early ones. Where echoes disagree, the first or the second may be the wrong one: then lines that start without
    it are tried. Such a line is kept if more echoes agree with it, and either the echo left out is whole turns off it,
    or all others agree, of which there must be four. Otherwise late echoes that are wrong together, as after a
    Laplacian unwrapping, would outvote the early ones.

    Args:
        values: (n_voxels, n_echoes) unwrapped phase, rad, with any intercept.
        magnitude: (n_voxels, n_echoes) a.u.
        te: (n_echoes,) float32, s.
        sigma: standard deviation of the noise in real and imaginary part, a.u.

    Returns:
        (n_voxels, n_echoes) float32, 0 … 1.
    """
    factor = np.ones(values.shape, np.float32)
    if te.size < 3 or sigma <= 0:
        return factor
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        v, m = values[part].astype(float), magnitude[part].astype(float)
        variance = sigma**2 / np.maximum(m, sigma * 1e-3) ** 2
        found = _agreement(v, variance, te)
        split = found.min(axis=1) < _DISAGREEMENT
        for order in ([0, 2, 1], [1, 2, 0]) if te.size > 3 else ():
            columns = [*order, *range(3, te.size)]
            other = np.empty_like(found[split])
            these = v[split][:, columns], variance[split][:, columns], te[columns]
            other[:, columns] = _agreement(*these)
            agreed, other_agreed = found[split].sum(axis=1), other.sum(axis=1)
            alone = (other_agreed > te.size - 1.5) & (te.size > 4)
            better = (other_agreed > agreed + 0.5) & (alone | _is_turned(*these))
            found[split] = np.where(better[:, None], other, found[split])
        factor[part] = found
    return factor


def _agreement(values: np.ndarray, variance: np.ndarray, te: np.ndarray) -> np.ndarray:
    """Compute the factors of `echo_agreement` if the first two columns are right: (n_voxels, n_echoes)."""
    t, factor, w = te.astype(float), np.ones(values.shape), 1 / variance
    for k in range(2, te.size):
        before = w[:, :k]
        s0, s1, s2 = before.sum(axis=1), before @ t[:k], before @ t[:k] ** 2
        determinant = np.maximum(s0 * s2 - s1**2, 1e-12 * s0 * s2)
        own, steep = (before * values[:, :k]).sum(axis=1), (before * values[:, :k]) @ t[:k]
        predicted = ((s2 - s1 * t[k]) * own + (s0 * t[k] - s1) * steep) / determinant
        spread = variance[:, k] + (s2 - 2 * s1 * t[k] + s0 * t[k] ** 2) / determinant
        factor[:, k] = 1 / np.maximum((values[:, k] - predicted) ** 2 / (_LIMIT**2 * spread), 1) ** 2
        w[:, k] *= factor[:, k]
    return factor


def _is_turned(values: np.ndarray, variance: np.ndarray, te: np.ndarray) -> np.ndarray:
    """Return whether the third column is whole turns off the line through the first two, within noise: (n_voxels,)."""
    ahead = (te[2] - te[0]) / (te[1] - te[0])
    off = values[:, 2] - (1 - ahead) * values[:, 0] - ahead * values[:, 1]
    spread = variance[:, 2] + (1 - ahead) ** 2 * variance[:, 0] + ahead**2 * variance[:, 1]
    turns = np.round(off / (2 * np.pi))
    return (turns != 0) & ((off - 2 * np.pi * turns) ** 2 < _LIMIT**2 * spread)


def excess_noise(values: np.ndarray, precision: np.ndarray, te: np.ndarray, sigma: float) -> np.ndarray:
    """Compute by how much the residuals of a line exceed what noise explains.

    Σ precision·residual²/σ² about the line is χ² distributed if there is only noise. Where it exceeds what one voxel in
    a thousand reaches, the errors of the phase are systematic, and the noise of the slope grows by the root of its
    ratio to the degrees of freedom.

    Args:
        values: (n_voxels, n_echoes) rad, with any intercept.
        precision: (n_voxels, n_echoes) magnitude², reduced where echoes do not agree, a.u.²
        te: (n_echoes,) float32, s.
        sigma: standard deviation of the noise in real and imaginary part, a.u.

    Returns:
        (n_voxels,) float32, 1 or larger; 1 where fewer than three echoes have a hundredth of the largest precision.

    Reference:
        Scaling errors by √(χ²/freedom): Particle Data Group 2022, doi:10.1093/ptep/ptac097 (section 5.2.2).
    """
    excess = np.ones(len(values), np.float32)
    if te.size < 3 or sigma <= 0:
        return excess
    largest = precision.max(axis=1, keepdims=True)
    freedom = (precision > 1e-2 * largest).sum(axis=1) - 2
    judged = (largest[:, 0] > 0) & (freedom > 0)
    values, precision, freedom = values[judged], precision[judged], freedom[judged]
    intercept, slope, _ = fit_line(values, precision, te)
    power = (precision * (values - intercept[:, None] - slope[:, None] * te) ** 2).sum(axis=1) / sigma**2
    limits = 2 * gammaincinv(np.arange(te.size - 1) / 2, 0.999)
    excess[judged] = np.where(power > limits[freedom], np.sqrt(power / freedom), 1)
    return excess


def turn_noise(
    phase: np.ndarray, slope: np.ndarray, magnitude: np.ndarray, te: np.ndarray, sigma: float, suspect: np.ndarray
) -> np.ndarray:
    """Compute the standard deviation of a slope by the echoes that may be whole turns off.

    Where noise makes the number of turns between echoes uncertain, errors of the slope are rare but large, and the
    residuals of the fit do not show them. Given the echoes modulo 2π, the slope has a density proportional to
    exp(Σ m·a/σ²·cos(phase − slope·te)), with m the magnitude and a = √(m² − 2σ²). The result is the root of its second
    moment about the fitted slope, without the part within 2 rad of it in the last echo, which is ordinary noise. Slopes
    up to half a turn between the closest echoes are considered.

    Args:
        phase: (n_voxels, n_echoes) rad, without its offset, modulo 2π.
        slope: (n_voxels,) fitted, rad/s.
        magnitude: (n_voxels, n_echoes) a.u.
        te: (n_echoes,) float32, s.
        sigma: standard deviation of the noise in real and imaginary part, a.u.
        suspect: (n_voxels,) bool, voxels whose residuals are large; others are considered if their signal is weak.

    Returns:
        (n_voxels,) float32, rad/s.

    Reference:
        Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618 (bias of the magnitude).
    """
    noise = np.zeros(len(phase), np.float32)
    if te.size < 2 or sigma <= 0:
        return noise
    certainty = magnitude / sigma * np.sqrt(np.maximum((magnitude / sigma) ** 2 - 2, 0))
    total = certainty.sum(axis=1)
    chosen = np.flatnonzero((suspect | (total < _CLEAR)) & (total > 0))
    if not chosen.size:
        return noise
    t = te.astype(float)
    reach = np.pi / np.diff(t).min()
    away = np.linspace(-reach, reach, 2 * int(np.ceil(8 * reach * t[-1])) + 1)
    squares = away**2 * (np.abs(away) * t[-1] > 2)
    wave = np.exp(-1j * np.outer(t, away)).astype(np.complex64)
    for start in range(0, chosen.size, _CHUNK // 64):
        part = chosen[start : start + _CHUNK // 64]
        # beyond this certainty only one slope is left, and its peak would be narrower than the steps
        level = certainty[part] * np.minimum(1, _CLEAR / total[part])[:, None]
        spins = level * np.exp(1j * (phase[part] - slope[part, None] * t))
        density = (spins.astype(np.complex64) @ wave).real
        density = np.exp(density - density.max(axis=1, keepdims=True))
        noise[part] = np.sqrt(density @ squares / density.sum(axis=1))
    return noise


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
