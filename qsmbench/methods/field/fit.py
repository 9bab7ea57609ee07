"""Field from the phase of several echoes, by a weighted linear fit."""

import numpy as np

from qsmbench.ops.smooth import smooth_phase
from qsmbench.registry import method
from qsmbench.units import rad_per_ppm


@method(produces="total_field", reference="de Rochefort 2008, doi:10.1002/mrm.21710")
def fit(unwrapped, magnitude, mask, grid, te, b0, *, offset_smoothing=5.0):
    """Weighted linear fit of the phase over echo time.

    The phase's variance goes as 1/magnitude², so the echoes are weighted with magnitude². The phase at TE = 0 is
    that of the transmit and receive coils, and smooth. An intercept fitted freely in each voxel would cost much of the
    precision (a factor 2.4 in standard deviation for four even echoes). So the fitted intercept is smoothed and
    subtracted, and the slope fitted again without one. Whole turns by which all echoes of a voxel differ from its
    surroundings are part of its intercept, and leave the field untouched. A single echo is taken to have no phase
    at TE = 0.

    Args:
        unwrapped: (nx, ny, nz, n_echoes) rad.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        b0: T.
        offset_smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm.

    Returns:
        total_field: (nx, ny, nz) float32, ppm.

    Reference:
        Weighted fit: de Rochefort 2008, doi:10.1002/mrm.21710; smooth phase at TE = 0: Eckstein 2018,
        doi:10.1002/mrm.26963.
    """
    te = te.astype(np.float32)
    phase = unwrapped[mask]
    weight = magnitude[mask] ** 2
    weight[weight.sum(axis=1) == 0] = 1  # no signal: nothing is known, so all echoes count alike
    if te.size > 1:
        phase = phase - _offset(phase, weight, mask, grid, te, offset_smoothing)[:, None]
    field = np.zeros(mask.shape, np.float32)
    field[mask] = (weight * phase) @ te / (weight @ te**2) / rad_per_ppm(b0, 1.0)
    return field


def _offset(phase, weight, mask, grid, te, sigma):
    """Smoothed phase at TE = 0 [rad] of the voxels in the mask, plus each voxel's own whole turns."""
    total = weight.sum(axis=1)
    mean_te, mean_phase = weight @ te / total, (weight * phase).sum(axis=1) / total
    apart = te - mean_te[:, None]
    spread = (weight * apart**2).sum(axis=1)
    # One echo alone with signal says nothing about the slope.
    slope = (weight * apart * phase).sum(axis=1) / np.maximum(spread, 1e-6 * total * te[-1] ** 2)
    intercept = mean_phase - slope * mean_te
    information = total * spread / (weight @ te**2)  # inverse variance of the intercept
    smooth = smooth_phase(_volume(intercept, mask), _volume(information, mask), mask, grid, sigma)[mask]
    return smooth + np.float32(2 * np.pi) * np.round((intercept - smooth) / np.float32(2 * np.pi))


def _volume(values, mask):
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = values
    return volume
