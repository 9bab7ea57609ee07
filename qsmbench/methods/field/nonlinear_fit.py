"""Field from the complex signal of several echoes, by nonlinear least squares."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.smooth import smooth_phase, smoothing_weights
from qsmbench.ops.phase.echo_line import echo_weights, estimate_noise, slope_noise
from qsmbench.ops.phase.phase_offset import (
    connected_parts,
    extrapolate_offset,
    unwrap_echo_difference,
    unwrap_part,
    wrap,
)
from qsmbench.units import rad_per_ppm

_START_SMOOTHING = 5.0  # of the phase at TE = 0 that the search starts from, mm
_TOLERANCE = 1e-5  # of the phase in the last echo, rad


@method(produces=("total_field", "field_noise"), reference="Liu 2013, doi:10.1002/mrm.24272")
def nonlinear_fit(phase, magnitude, mask, grid, te, b0, *, offset_smoothing=5.0, iterations=10):
    """Nonlinear least squares of the complex signal over echo time.

    In each voxel, Σ |magnitude · (exp(i·phase) − exp(i·(offset + slope·te)))|² over the echoes is minimised by
    Gauss–Newton steps. Phase is compared on the circle, so that later echoes are never unwrapped and none of their
    whole turns can go wrong. Only the turn from the first echo to the second is unwrapped in space (ROMEO), since
    that says which of the minima is the right one; then one echo after the other joins in.

    As published, the offset is free in each voxel: `offset_smoothing` 0. That costs precision (see `fit`), so by
    default the offset found is smoothed, and the slope fitted again with the offset known. A single echo is unwrapped
    in space, and taken to have no phase at TE = 0. The noise comes from the Gauss–Newton covariance, with σ as in
    `fit`.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        b0: T.
        offset_smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm; 0 leaves each voxel
            its own.
        iterations: Gauss–Newton steps at most, each time that the fit is made.

    Returns:
        total_field: (nx, ny, nz) float32, ppm.
        field_noise: (nx, ny, nz) float32, ppm, standard deviation.

    Reference:
        Liu 2013, doi:10.1002/mrm.24272; smooth phase at TE = 0: Eckstein 2018, doi:10.1002/mrm.26963; unwrapping:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    times = te.astype(np.float32)
    slope, offset = _start(phase, magnitude, mask, grid, te)
    signal, given = magnitude[mask], phase[mask]
    weight = echo_weights(signal)
    slope, offset = slope[mask], offset[mask]
    smoothing = (0.0, 0.0)
    if te.size > 1:
        smoothing = smoothing_weights(grid, offset_smoothing)
        slope = _follow(given, weight, times, slope, offset)
        slope, offset = _gauss_newton(given, weight, times, slope, offset, iterations)
        if offset_smoothing > 0:
            offset = _smoothed(offset, weight, times, mask, grid, offset_smoothing)
            slope, _ = _gauss_newton(given, weight, times, slope, offset, iterations, free_offset=False)
    left = wrap(given - offset[:, None] - slope[:, None] * times)
    sigma = estimate_noise(left, signal, times, smoothing, magnitude, mask)
    field, noise = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    field[mask] = slope / rad_per_ppm(b0, 1.0)
    noise[mask] = slope_noise(weight, signal, times, sigma, smoothing) / rad_per_ppm(b0, 1.0)
    return field, noise


def _start(phase, magnitude, mask, grid, te):
    """Slope [rad/s] from the first two echoes, unwrapped in space, and smooth phase at TE = 0 [rad]."""
    slope, offset = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        given, signal = phase[box], magnitude[box]
        if te.size == 1:
            turn, gap = unwrap_part(given[..., 0], signal[..., 0], inside), te[0]
        else:
            turn, gap = unwrap_echo_difference(given, signal, inside, te), te[1] - te[0]
            back = extrapolate_offset(given, signal, turn, inside, grid, te, _START_SMOOTHING)
            offset[box][inside] = back[inside]
        slope[box][inside] = turn[inside] / np.float32(gap)
    return slope, offset


def _follow(phase, weight, te, slope, offset):
    """Slope through a known offset, as one echo after the other joins in, each on the turn that is expected of it."""
    square = np.zeros(len(phase), np.float32)
    for echo, t in enumerate(te):
        left = wrap(phase[:, echo] - offset - slope * t)
        square += weight[:, echo] * t**2
        slope = slope + weight[:, echo] * t * left / np.maximum(square, np.finfo(np.float32).tiny)
    return slope


def _gauss_newton(phase, weight, te, slope, offset, iterations, free_offset=True):
    """Minimise Σ weight · (1 − cos(phase − offset − slope · te)) over slope and, if free, offset."""
    s0, s1, s2 = weight.sum(axis=1), weight @ te, weight @ te**2
    for _ in range(iterations):
        pull = weight * np.sin(phase - offset[:, None] - slope[:, None] * te)
        if free_offset:
            along = (pull * (te - (s1 / s0)[:, None])).sum(axis=1)
            # one echo alone with signal says nothing about the slope
            step = along / np.maximum(s2 - s1**2 / s0, 1e-6 * s0 * te[-1] ** 2)
            offset = offset + (pull.sum(axis=1) - step * s1) / s0
        else:
            step = pull @ te / s2
        slope = slope + step
        if np.abs(step).max() * te[-1] < _TOLERANCE:
            break
    return slope, offset


def _smoothed(offset, weight, te, mask, grid, sigma):
    """The offset, smoothed with the inverse of its variance as weight."""
    s0, s1, s2 = weight.sum(axis=1), weight @ te, weight @ te**2
    volume, information = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    volume[mask], information[mask] = offset, np.maximum(s0 - s1**2 / s2, 0)
    return smooth_phase(volume, information, mask, grid, sigma)[mask]
