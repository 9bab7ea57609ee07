"""Field from the complex signal of several echoes, by nonlinear least squares."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.smooth import smooth_phase, smoothing_weights
from qsmbench.ops.phase.echo_line import echo_agreement, echo_weights, excess_noise, slope_noise, turn_noise
from qsmbench.ops.phase.noise import estimate_noise, noise_from_residuals
from qsmbench.ops.phase.phase_offset import extrapolate_offset, unwrap_echo_difference
from qsmbench.ops.phase.unwrap import connected_parts, unwrap_part
from qsmbench.ops.phase.wrap import wrap
from qsmbench.units import rad_per_ppm

_START_SMOOTHING = 5.0  # of the initial phase at TE = 0, mm
_TOLERANCE = 1e-5  # of the phase in the last echo, rad


@method(produces=("total_field", "field_noise"), reference="Liu 2013, doi:10.1002/mrm.24272")
def nonlinear_fit(phase, magnitude, mask, grid, te, b0, *, robust=True, offset_smoothing=5.0, iterations=10):
    """Nonlinear least squares of the complex signal over echo time.

    In each voxel, Σ |magnitude · (exp(i·phase) − exp(i·(offset + slope·te)))|² over the echoes is minimised by
    Gauss–Newton steps. Phase is compared modulo 2π, so that later echoes need no unwrapping, which could fail. Only the
    difference of the first two echoes is unwrapped in space (ROMEO), to start near the right minimum; then the echoes
    are included one after the other.

    The fitted offset is smoothed, and the slope fitted again with the offset fixed. A single echo is unwrapped in
    space, and its phase at TE = 0 is assumed to be zero. The noise is that of the Gauss–Newton covariance, with σ as in
    `fit`.

    Differences:
        In the publication the offset is free in each voxel, as here with `offset_smoothing` 0. That costs precision
        (see `fit`).

    Args:
        robust: reduce the weight of echoes that do not agree with the earlier ones, as `fit` does.
        iterations: largest number of Gauss–Newton steps in each of the fits.

    Reference:
        Liu 2013, doi:10.1002/mrm.24272; smooth phase at TE = 0: Eckstein 2018, doi:10.1002/mrm.26963; unwrapping:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    times = te.astype(np.float32)
    slope, offset = _start(phase, magnitude, mask, grid, te)
    signal, phase_inside = magnitude[mask], phase[mask]
    weight = echo_weights(signal)
    slope, offset = slope[mask], offset[mask]
    smoothing, agreement = (0.0, 0.0), np.ones(1, np.float32)
    if te.size > 1:
        smoothing = smoothing_weights(grid, offset_smoothing)
        slope = _add_echoes(phase_inside, weight, times, slope, offset)
        slope, offset = _gauss_newton(phase_inside, weight, times, slope, offset, iterations)
        if robust and te.size > 2:
            line = offset[:, None] + slope[:, None] * times
            near = line + wrap(phase_inside - line)
            early = noise_from_residuals(near[:, :3], signal[:, :3], times[:3])
            agreement = echo_agreement(near, signal, times, early)
            weight = weight * agreement
            slope, offset = _gauss_newton(phase_inside, weight, times, slope, offset, iterations)
        if offset_smoothing > 0:
            offset = _smoothed(offset, weight, times, mask, grid, offset_smoothing)
            slope, _ = _gauss_newton(phase_inside, weight, times, slope, offset, iterations, free_offset=False)
    residual = wrap(phase_inside - offset[:, None] - slope[:, None] * times)
    sigma = estimate_noise(residual, signal, times, smoothing, magnitude, mask)
    field, noise = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    field[mask] = slope / rad_per_ppm(b0, 1.0)
    excess = excess_noise(residual, agreement * signal**2, times, sigma)
    spread = excess * slope_noise(weight, signal, times, sigma, smoothing)
    turns = turn_noise(phase_inside - offset[:, None], slope, signal, times, sigma, excess > 1)
    noise[mask] = np.hypot(spread, turns) / rad_per_ppm(b0, 1.0)
    return field, noise


def _start(phase, magnitude, mask, grid, te):
    """Compute the slope [rad/s] of the first two echoes, unwrapped in space, and the smooth phase at TE = 0 [rad]."""
    slope, offset = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        part, signal = phase[box], magnitude[box]
        if te.size == 1:
            difference, gap = unwrap_part(part[..., 0], signal[..., 0], inside), te[0]
        else:
            difference, gap = unwrap_echo_difference(part, signal, inside, te), te[1] - te[0]
            smooth = extrapolate_offset(part, signal, difference, inside, grid, te, _START_SMOOTHING)
            offset[box][inside] = smooth[inside]
        slope[box][inside] = difference[inside] / np.float32(gap)
    return slope, offset


def _add_echoes(phase, weight, te, slope, offset):
    """Fit the slope with a fixed offset, adding echo after echo, each unwrapped to the prediction."""
    square = np.zeros(len(phase), np.float32)
    for echo, t in enumerate(te):
        residual = wrap(phase[:, echo] - offset - slope * t)
        square += weight[:, echo] * t**2
        slope = slope + weight[:, echo] * t * residual / np.maximum(square, np.finfo(np.float32).tiny)
    return slope


def _gauss_newton(phase, weight, te, slope, offset, iterations, free_offset=True):
    """Minimise Σ weight · (1 − cos(phase − offset − slope · te)) over slope and, if free, offset."""
    s0, s1, s2 = weight.sum(axis=1), weight @ te, weight @ te**2
    for _ in range(iterations):
        gradient = weight * np.sin(phase - offset[:, None] - slope[:, None] * te)
        if free_offset:
            along = (gradient * (te - (s1 / s0)[:, None])).sum(axis=1)
            # a single echo with signal does not determine the slope
            step = along / np.maximum(s2 - s1**2 / s0, 1e-6 * s0 * te[-1] ** 2)
            offset = offset + (gradient.sum(axis=1) - step * s1) / s0
        else:
            step = gradient @ te / s2
        slope = slope + step
        if np.abs(step).max() * te[-1] < _TOLERANCE:
            break
    return slope, offset


def _smoothed(offset, weight, te, mask, grid, sigma):
    """Smooth the offset with the inverse of its variance as weight."""
    s0, s1, s2 = weight.sum(axis=1), weight @ te, weight @ te**2
    volume, information = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    volume[mask], information[mask] = offset, np.maximum(s0 - s1**2 / s2, 0)
    return smooth_phase(volume, information, mask, grid, sigma)[mask]
