"""R2* by nonlinear least squares with the noise floor in the model."""

import numpy as np

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method
from qsmbench.ops.phase.echo_line import echo_weights, fit_line
from qsmbench.ops.phase.noise import noise_from_magnitude, noise_from_residuals
from qsmbench.ops.phase.rician import rician_mean

_CHUNK = 1 << 15  # voxels that are fitted at a time
_ITERATIONS = 60
_TOLERANCE = 1e-6  # of the parameters: logarithm of the amplitude, R2* times the last echo time


@method(produces="r2star", reference="Feng 2013, doi:10.1002/mrm.24607")
def r2star_nonlinear(magnitude, mask, te, *, noise=None, r2star_max=1000.0):
    """Nonlinear fit of the magnitude with the mean of an exponential in the presence of noise.

    The mean of a magnitude is at least 1.25 σ, the noise floor. The first moment of the Rice distribution around
    amplitude · exp(−R2*·te) is fitted by least squares (Levenberg–Marquardt), starting from the log-linear fit. That is
    the model for one coil, or coils combined with their phases; the sum of squares of many coils has a higher floor.

    Args:
        noise: σ in real and imaginary part, a.u.; None estimates it from the residuals of straight lines through the
            logarithms of the first three echoes, which are highest above the floor (from the first magnitude if there
            are two echoes); 0 fits an exponential without floor.

    Raises:
        NotApplicable: there is a single echo.
        QsmbenchError: `noise` is negative.

    Reference:
        Feng 2013, doi:10.1002/mrm.24607 (first moment, one coil).
    """
    if te.size < 2:
        raise NotApplicable("R2* needs at least two echoes; the scan has one")
    if noise is not None and noise < 0:
        raise QsmbenchError(f"r2star_nonlinear: noise is {noise}; it must not be negative")
    signal = magnitude[mask]
    sigma = _noise(magnitude, signal, mask, te) if noise is None else float(noise)
    rate = np.zeros(len(signal), np.float32)
    for start in range(0, len(signal), _CHUNK):
        part = slice(start, start + _CHUNK)
        rate[part] = _fit(signal[part].astype(float), te / te[-1], sigma, r2star_max * te[-1]) / te[-1]
    r2star = np.zeros(mask.shape, np.float32)
    r2star[mask] = np.clip(rate, 0, r2star_max)
    return r2star


def _noise(magnitude, signal, mask, te):
    """Estimate σ of the noise [a.u.]."""
    if te.size == 2:
        return noise_from_magnitude(magnitude[..., 0], mask)
    first = signal[:, :3]
    logarithm = np.log(first, where=first > 0, out=np.zeros(first.shape, np.float32))
    return noise_from_residuals(logarithm, first, te[:3].astype(np.float32))


def _fit(signal, te, sigma, highest):
    """Fit the rate per unit of `te` to each row of `signal`; 0 where there is no signal."""
    rate = np.zeros(len(signal))
    with_signal = np.flatnonzero(signal.any(axis=1))
    signal = signal[with_signal]
    p = _start(signal, te, highest)
    cost, normal, slope = _normal_equations(p, signal, te, sigma)
    damping = np.full(len(p), 1e-3)
    active = np.arange(len(p))
    for _ in range(_ITERATIONS):
        if not active.size:
            break
        step = _step(normal[active], slope[active], damping[active])
        trial = p[active] + step
        trial[:, 1] = np.clip(trial[:, 1], -1, 2 * highest)
        new_cost, new_normal, new_slope = _normal_equations(trial, signal[active], te, sigma)
        better = new_cost <= cost[active]
        accepted = active[better]
        p[accepted], cost[accepted] = trial[better], new_cost[better]
        normal[accepted], slope[accepted] = new_normal[better], new_slope[better]
        damping[active] *= np.where(better, 0.2, 5.0)
        moving = (np.abs(step) > _TOLERANCE).any(axis=1) & (damping[active] < 1e10)
        active = active[moving]
    rate[with_signal] = p[:, 1]
    return rate


def _start(signal, te, highest):
    """Compute the logarithm of the amplitude and the rate, (n_voxels, 2), from the line through the logarithms."""
    logarithm = np.log(np.maximum(signal, 1e-6 * signal.max(axis=1, keepdims=True)))
    intercept, slope, _ = fit_line(logarithm, echo_weights(signal), te)
    return np.stack([intercept, np.clip(-slope, 0, highest)], axis=1)


def _normal_equations(p, signal, te, sigma):
    """Compute sum of squares, matrix (three numbers) and right-hand side of the normal equations in each voxel."""
    true = np.exp(np.minimum(p[:, :1] - p[:, 1:] * te, 80))
    mean, derivative = rician_mean(true, sigma)
    residual = signal - mean
    jacobian = derivative * true
    square = jacobian**2
    normal = np.stack([square.sum(axis=1), -square @ te, square @ te**2], axis=1)
    slope = np.stack([(jacobian * residual).sum(axis=1), -(jacobian * residual) @ te], axis=1)
    return (residual**2).sum(axis=1), normal, slope


def _step(normal, slope, damping):
    """Compute the Levenberg–Marquardt step, with the diagonal of the matrix scaled by 1 + damping."""
    n00, n01, n11 = normal.T
    n00, n11 = n00 * (1 + damping), n11 * (1 + damping)
    determinant = np.maximum(n00 * n11 - n01**2, np.finfo(float).tiny)
    return (
        np.stack([n11 * slope[:, 0] - n01 * slope[:, 1], n00 * slope[:, 1] - n01 * slope[:, 0]], 1)
        / determinant[:, None]
    )
