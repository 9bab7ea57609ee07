"""Multi-echo susceptibility-weighted imaging with a sigmoid mask."""

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method
from qsmbench.ops.masks.weighting import sigmoid_weight
from qsmbench.ops.phase.high_pass import without_trend

_STRENGTH = 10  # the scale of the sigmoid is 10 / strength times the median of the positive values
_LEVEL, _KNEE, _SHARPNESS = 0.8, 0.5, 2  # softplus: quantile of the magnitude, share of it, and factor of the knee


@method(produces="swi", reference="Eckstein 2021, doi:10.1016/j.neuroimage.2021.118175")
def clear_swi(magnitude, unwrapped, mask, te, grid, *, sigma=4.0, strength=4.0, sensitivity=7.0, softplus=True):
    """CLEAR-SWI: weight the combined magnitude of all echoes with a sigmoid of their combined high-pass filtered phase.

    Each unwrapped echo is filtered within slices, and the echoes are combined as a line through the origin, weighted
    with TE² · magnitude². The mask is ½ (1 + tanh(1 − x/m)), m being 10/strength times the median of the positive
    values. The magnitude is the root sum of squares over echoes, divided by a smoothed copy of itself, and passed
    through a soft threshold (softplus) at half of its 80 % quantile.

    Differences:
        It follows the open implementation of the authors, whose estimate of the sensitivity is more elaborate.

    Args:
        sigma: standard deviation of the Gaussian high-pass filter, voxels.
        strength: of the phase mask; larger gives more contrast.
        sensitivity: standard deviation of the Gaussian that estimates the receive profile, mm.
        softplus: apply the soft threshold to the magnitude.

    Raises:
        NotApplicable: there is no positive phase, or no signal.
        QsmbenchError: a width or the strength is not positive.

    Reference:
        Eckstein 2021, doi:10.1016/j.neuroimage.2021.118175.
    """
    for name, value in (("sigma", sigma), ("strength", strength), ("sensitivity", sensitivity)):
        if not value > 0:
            raise QsmbenchError(f"clear_swi: {name} is {value}; it must be greater than 0")
    filtered = _combined(magnitude, unwrapped, mask, te, grid, sigma)
    positive = filtered[filtered > 0]
    if not positive.size or not magnitude[mask].any():
        raise NotApplicable("there is no positive phase or no signal in the mask")
    weight = sigmoid_weight(filtered, _STRENGTH / strength * float(np.median(positive)))
    image = np.where(mask, np.sqrt((magnitude.astype(np.float32) ** 2).sum(axis=-1)), np.float32(0))
    image = _without_profile(image, mask, grid, sensitivity)
    if softplus:
        image = _softplus(image, float(np.quantile(image[mask], _LEVEL)) * _KNEE)
    return np.where(mask, image * weight, 0).astype(np.float32)


def _combined(magnitude, unwrapped, mask, te, grid, sigma):
    """Compute the filtered phase per time [rad/s] from all echoes."""
    above, below = (np.zeros(mask.shape, np.float32) for _ in range(2))
    for echo, time in enumerate(te):
        squared = magnitude[..., echo] ** 2 * np.float32(time)
        above += squared * without_trend(unwrapped[..., echo], mask, grid, sigma)
        below += squared * np.float32(time)
    return np.divide(above, below, out=np.zeros_like(above), where=mask & (below > 0))


def _without_profile(image, mask, grid, sigma):
    widths = [sigma / d for d in grid.voxel_size]
    smooth = ndimage.gaussian_filter(image, widths, mode="constant")
    share = ndimage.gaussian_filter(mask.astype(np.float32), widths, mode="constant")
    return np.divide(image * share, smooth, out=np.zeros_like(image), where=mask & (smooth > 0))


def _softplus(image, knee):
    """Suppress values below the knee; 0 stays 0."""
    factor = _SHARPNESS / max(knee, np.finfo(np.float32).tiny)
    return (np.logaddexp(0, factor * (image - knee)) - np.logaddexp(0, -factor * knee)) / factor
