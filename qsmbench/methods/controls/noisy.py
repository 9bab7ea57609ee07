"""The true fields with the errors that this scan's phase gives them."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.field.fit import fit
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.units import rad_per_ppm


@method(produces=("local_field", "total_field", "field_noise"), reference="control")
def noisy(local_field, total_field, phase, magnitude, mask, grid, te, b0, *, offset_smoothing=5.0):
    """Control: the true fields plus the error of a field fitted to this scan's phase, unwrapped without fail.

    `truth.noisy.tkd` tests an inversion in isolation, as `truth.tkd` does, but on data with noise. What is added is
    the scan's own: thermal noise by the magnitude of each voxel, and whatever else the phase suffers, such as the
    dephasing of voxels that hold several tissues, and what the smoothing of a bent coil phase leaves at the rim. Wraps
    and background removal add nothing.

    Args:
        local_field: (nx, ny, nz) ppm, the truth.
        total_field: (nx, ny, nz) ppm, the truth.
        phase: (nx, ny, nz, n_echoes) rad.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        b0: T.
        offset_smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm.

    Returns:
        local_field: (nx, ny, nz) float32, ppm.
        total_field: (nx, ny, nz) float32, ppm.
        field_noise: (nx, ny, nz) float32, ppm, as the fit states it.
    """
    left = _left(total_field, phase, magnitude, mask, grid, te, b0, offset_smoothing)
    error, noise = fit(left, magnitude, mask, grid, te, b0, offset_smoothing=offset_smoothing)
    return (local_field + error) * mask, (total_field + error) * mask, noise


def _left(total_field, phase, magnitude, mask, grid, te, b0, offset_smoothing):
    """What the phase of each echo holds beyond that of the true field and the phase at TE = 0 [rad], without wraps."""
    turns = rad_per_ppm(b0, 1.0) * te
    left = np.empty(phase.shape, np.float32)
    real, imaginary, weight = (np.zeros(mask.shape, np.float32) for _ in range(3))
    for echo, turn in enumerate(turns):
        compute(_beyond, phase[..., echo], total_field, out=left[..., echo], turn=np.float32(turn))
        compute(_sums, magnitude[..., echo], left[..., echo], real, imaginary, weight, out=(real, imaginary, weight))
    # What all echoes have in common is the phase at TE = 0; without it, only errors far beyond noise could wrap.
    mean = compute(lambda xp, r, i: xp.atan2(i, r), real, imaginary)
    offset = smooth_phase(mean, weight, mask, grid, offset_smoothing)
    for echo in range(te.size):
        compute(_wrapped, left[..., echo], offset, mask, out=left[..., echo])
    return left


def _beyond(xp, phase, field, *, turn):
    """What `phase` [rad] holds beyond that of the true field."""
    return phase - turn * field


def _sums(xp, magnitude, left, real, imaginary, weight):
    """The complex signal [a.u.] without the true field's phase, and the magnitude², summed over echoes."""
    return real + magnitude * xp.cos(left), imaginary + magnitude * xp.sin(left), weight + magnitude**2


def _wrapped(xp, left, offset, mask):
    """`left` − `offset` without whole turns [rad], zero outside the mask."""
    turn = np.float32(2 * np.pi)
    left = left - offset
    return (left - turn * xp.round(left / turn)) * mask
