"""Field from the phase of several echoes, by a weighted linear fit."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.smooth import smooth_phase, smoothing_weights
from qsmbench.ops.phase.echo_line import echo_agreement, echo_weights, excess_noise, fit_line, slope_noise, turn_noise
from qsmbench.ops.phase.noise import estimate_noise, noise_from_residuals
from qsmbench.ops.phase.wrap import nearest
from qsmbench.units import rad_per_ppm

WEIGHTING = ("magnitude", "none")


@method(produces=("total_field", "field_noise"), reference="de Rochefort 2008, doi:10.1002/mrm.21710")
def fit(unwrapped, magnitude, mask, grid, te, b0, *, weighting="magnitude", robust=True, offset_smoothing=5.0):
    """Weighted linear fit of the phase over echo time.

    The variance of the phase is proportional to 1/magnitude², so the echoes are weighted with magnitude². The phase at
    TE = 0 is that of the transmit and receive coils, and smooth. A free intercept in each voxel would cost much of the
    precision (a factor 2.4 in standard deviation for four evenly spaced echoes). So the fitted intercept is smoothed
    and subtracted, and the slope fitted again without one. Whole turns that are common to all echoes of a voxel are
    part of its intercept, and do not affect the field. With a single echo, the phase at TE = 0 is assumed to be zero.

    Echoes that do not continue the line through the earlier ones lose weight (`robust`): where phase was unwrapped
    wrongly, where a voxel contains several fields, or where blood flows. In a Laplacian unwrapping of late echoes,
    neighbouring phases differ by more than π in many places, which changes the phase far around.

    The noise of the field is that of the phase, propagated through the fit. Its level, one number for the whole scan,
    is estimated from the residuals of the lines, so that systematic deviations count as noise; for a single echo, from
    its magnitude. The noise in real and imaginary part is assumed to be uniform. Where the residuals of a voxel exceed
    it, the noise of the field grows with them. Where echoes are weak, it includes the chance that they are whole turns
    off.

    Args:
        weighting: "magnitude": by magnitude²; "none": equal weights for all echoes.
        robust: reduce the weight of echoes that do not agree with the earlier ones (needs three echoes).

    Raises:
        QsmbenchError: `weighting` is neither of the two.

    Reference:
        Weighted fit: de Rochefort 2008, doi:10.1002/mrm.21710; smooth phase at TE = 0: Eckstein 2018,
        doi:10.1002/mrm.26963.
    """
    if weighting not in WEIGHTING:
        raise QsmbenchError(f"fit: weighting is {weighting!r}; choose from {', '.join(WEIGHTING)}")
    te = te.astype(np.float32)
    phase, signal = unwrapped[mask], magnitude[mask]
    weight = echo_weights(signal) if weighting == "magnitude" else np.ones(signal.shape, np.float32)
    smoothing, agreement = (0.0, 0.0), np.ones(1, np.float32)
    if robust and te.size > 2:
        early = noise_from_residuals(phase[:, :3], signal[:, :3], te[:3])
        agreement = echo_agreement(phase, signal, te, early)
        weight = weight * agreement
    if te.size > 1:
        phase -= _offset(phase, weight, mask, grid, te, offset_smoothing)[:, None]
        smoothing = smoothing_weights(grid, offset_smoothing)
    sigma = estimate_noise(phase, signal, te, smoothing, magnitude, mask)
    field, noise = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    slope = (weight * phase) @ te / (weight @ te**2)
    field[mask] = slope / rad_per_ppm(b0, 1.0)
    excess = excess_noise(phase, agreement * signal**2, te, sigma)
    spread = excess * slope_noise(weight, signal, te, sigma, smoothing)
    turns = turn_noise(phase, slope, signal, te, sigma, excess > 1)
    noise[mask] = np.hypot(spread, turns) / rad_per_ppm(b0, 1.0)
    return field, noise


def _offset(phase, weight, mask, grid, te, sigma):
    """Compute the smoothed phase at TE = 0 [rad] of the voxels in the mask, plus the whole turns of each voxel."""
    intercept, _, information = fit_line(phase, weight, te)
    smooth = smooth_phase(_volume(intercept, mask), _volume(information, mask), mask, grid, sigma)[mask]
    return nearest(np, smooth, intercept)


def _volume(values, mask):
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = values
    return volume
