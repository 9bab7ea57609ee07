"""The true fields with the errors of a field fitted to the phase of this scan."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.field.fit import fit
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.ops.phase.wrap import wrapped
from qsmbench.units import rad_per_ppm


@method(produces=("local_field", "total_field", "field_noise"), reference="control")
def noisy(local_field, total_field, phase, magnitude, mask, grid, te, b0, *, offset_smoothing=5.0):
    """Control: the true fields plus the error of a field fitted to the phase of this scan, perfectly unwrapped.

    `truth.noisy.tkd` tests an inversion in isolation, as `truth.tkd` does, but on data with noise. The errors are those
    of the scan: thermal noise according to the magnitude of each voxel, and other phase errors, such as dephasing in
    voxels with several tissues, and residuals of the smoothed coil phase at the rim. Errors of unwrapping and
    background removal are not included.

    Args:
        local_field: (nx, ny, nz) ppm: the truth.
        total_field: (nx, ny, nz) ppm: the truth.
    """
    residual = _residual_phase(total_field, phase, magnitude, mask, grid, te, b0, offset_smoothing)
    error, noise = fit(residual, magnitude, mask, grid, te, b0, offset_smoothing=offset_smoothing)
    return (local_field + error) * mask, (total_field + error) * mask, noise


def _residual_phase(total_field, phase, magnitude, mask, grid, te, b0, offset_smoothing):
    """Compute the phase of each echo minus that of the true field and the phase at TE = 0 [rad], wrapped."""
    scales = rad_per_ppm(b0, 1.0) * te
    residual = np.empty(phase.shape, np.float32)
    sums = tuple(np.zeros(mask.shape, np.float32) for _ in range(3))
    for echo, scale in enumerate(scales):
        compute(_subtract_field, phase[..., echo], total_field, out=residual[..., echo], scale=np.float32(scale))
        compute(_add_echo, magnitude[..., echo], residual[..., echo], *sums, out=sums)
    # The phase at TE = 0 is common to all echoes; without it, only errors far beyond noise could wrap.
    real, imaginary, weight = sums
    mean = compute(lambda xp, r, i: xp.atan2(i, r), real, imaginary)
    offset = smooth_phase(mean, weight, mask, grid, offset_smoothing)
    for echo in range(te.size):
        compute(_subtract_offset, residual[..., echo], offset, mask, out=residual[..., echo])
    return residual


def _subtract_field(xp, phase, field, *, scale):
    return phase - scale * field


def _add_echo(xp, magnitude, residual, real, imaginary, weight):
    """Add the complex signal [a.u.] without the phase of the true field, and magnitude², of an echo."""
    return real + magnitude * xp.cos(residual), imaginary + magnitude * xp.sin(residual), weight + magnitude**2


def _subtract_offset(xp, residual, offset, mask):
    return wrapped(xp, residual - offset) * mask
