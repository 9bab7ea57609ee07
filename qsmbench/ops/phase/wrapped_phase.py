"""The Laplacian of the field, from wrapped phase."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.grid import Triple
from qsmbench.ops.arrays.array import compute, namespace
from qsmbench.ops.arrays.fft import Window, convolve


def field_laplacian(
    phase: Any, magnitude: Any, te: np.ndarray, mask: Any, window: Window, mean: Any, voxel_size: Triple
) -> Any:
    """Compute the seven-point Laplacian of the phase per second, without unwrapping the phase.

    It is the sum of the differences to the six neighbours, each fitted over the echoes, weighted by the magnitudes of
    the two voxels. In the first echo, a difference is assumed to be less than π; in later ones, to be less than π from
    the prediction of the fit to the echoes before. The fit is linear in TE. Its intercept comes from the coils, and is
    smooth: it is replaced by its mean over a ball, in two passes. With a single echo, the phase at TE = 0 is assumed to
    be zero.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        te: (n_echoes,) echo times, s.
        mask: (nx, ny, nz) bool.
        window: of the mask.
        mean: (nx, ny, nz // 2 + 1) float32, half spectrum of the mean over a ball, in the window.
        voxel_size: mm.

    Returns:
        (nx, ny, nz) float32, rad/s/mm², of the shape of the window; valid where all six neighbours are in the mask.
    """
    xp = namespace(phase)
    laplacian = None
    for axis, d in enumerate(voxel_size):
        slope = _fit_difference(phase, magnitude, te, mask, window, mean, axis)
        before = xp.roll(slope, 1, axis=axis)
        total = laplacian if laplacian is not None else xp.zeros_like(slope)
        laplacian = compute(_add_difference, total, slope, before, out=total, square=d**2)
    return laplacian


def _add_difference(xp, total, slope, before, *, square):
    return total + (slope - before) / square


def _fit_difference(phase, magnitude, te, mask, window, mean, axis):
    """Fit the phase difference from each voxel to the next one along an axis, rad/s."""
    xp = namespace(phase)
    peak = float(xp.max(magnitude)) or 1.0
    inside = window.take_mask(mask)
    inside = inside & xp.roll(inside, -1, axis=axis)
    zeros = window.take(phase[..., 0], mask) * 0.0
    sums = tuple(xp.asarray(zeros, copy=True) for _ in range(5))
    for echo, t in enumerate(te):
        here, signal = window.take(phase[..., echo], mask), window.take(magnitude[..., echo], mask)
        there, beyond = xp.roll(here, -1, axis=axis), xp.roll(signal, -1, axis=axis)
        compute(_accumulate, here, there, signal, beyond, *sums, out=sums, t=float(t / te[-1]), peak=peak)
    offset = zeros
    if len(te) > 1:
        information = compute(_information, *sums[:3], inside)
        spread = convolve(information, mean)
        for _ in range(2):  # the second pass smooths the residual of the first: no bias at the edge of the mask
            residual = convolve(compute(_weighted_residual, *sums, offset, inside), mean)
            offset = offset + compute(_divide, residual, spread, inside)
    return compute(_slope, *sums, offset, longest=float(te[-1]))


def _accumulate(xp, here, there, signal, beyond, w, wt, wtt, wg, wtg, *, t, peak):
    """Update the sums of a weighted linear fit of the difference between two voxels; without signal, uniformly."""
    a, b = (signal / peak) ** 2 + 1e-6, (beyond / peak) ** 2 + 1e-6
    weight = a * b / (a + b)
    expected = t * wtg / (wtt + 1e-12)
    difference = there - here
    difference = difference - 2 * np.pi * xp.round((difference - expected) / (2 * np.pi))
    weighted = weight * difference
    return w + weight, wt + weight * t, wtt + weight * t**2, wg + weighted, wtg + weighted * t


def _information(xp, w, wt, wtt, inside):
    """Compute the inverse variance of the intercept of the fit."""
    return xp.where(inside, w - wt**2 / wtt, 0.0)


def _weighted_residual(xp, w, wt, wtt, wg, wtg, offset, inside):
    """Compute the intercept of the fit minus the offset, times its inverse variance."""
    return xp.where(inside, wg - wt * wtg / wtt - offset * (w - wt**2 / wtt), 0.0)


def _divide(xp, values, weight, inside):
    return xp.where(inside, values / xp.where(inside, weight, 1.0), 0.0)


def _slope(xp, w, wt, wtt, wg, wtg, offset, *, longest):
    return (wtg - offset * wt) / (wtt * longest)
