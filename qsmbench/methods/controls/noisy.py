"""The true fields with the errors that this scan's phase gives them."""

import numpy as np

from qsmbench.methods.field.fit import fit
from qsmbench.ops.smooth import smooth_phase
from qsmbench.registry import method
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
    turns = (rad_per_ppm(b0, 1.0) * te).astype(np.float32)
    left = phase - total_field[..., None] * turns
    # What all echoes have in common is the phase at TE = 0; without it, only errors far beyond noise could wrap.
    mean = np.angle((magnitude * np.exp(1j * left)).sum(axis=-1)).astype(np.float32)
    offset = smooth_phase(mean, (magnitude**2).sum(axis=-1), mask, grid, offset_smoothing)
    left = np.angle(np.exp(1j * (left - offset[..., None]))).astype(np.float32) * mask[..., None]
    error, noise = fit(left, magnitude, mask, grid, te, b0, offset_smoothing=offset_smoothing)
    return (local_field + error) * mask, (total_field + error) * mask, noise
