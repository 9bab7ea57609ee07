"""The true fields with the errors of a field fitted to the phase of this scan."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.field.fit import fit
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.smooth import smooth_phase
from qsmbench.ops.phase.wrap import wrapped
from qsmbench.ops.water_fat.model import MIN_ECHOES
from qsmbench.ops.water_fat.precision import field_precision
from qsmbench.ops.water_fat.separate import complete, noise_of, signal_in
from qsmbench.units import hz_per_ppm, rad_per_ppm

LEAST_FAT = 0.01
"""Mean fat fraction in the mask from which water and fat are separated; assumed; a brain has none."""


@method(produces=("local_field", "total_field", "field_noise"), reference="control")
def noisy(
    local_field,
    total_field,
    phase,
    magnitude,
    mask,
    grid,
    te,
    b0,
    signal_fat_fraction=None,
    r2star=None,
    *,
    offset_smoothing=5.0,
    peaks=6,
    r2star_max=2000.0,
):
    """Control: the true fields plus the error of a field fitted to the phase of this scan, perfectly unwrapped.

    `truth.noisy.tkd` tests an inversion in isolation, as `truth.tkd` does, but on data with noise. The errors are those
    of the scan: thermal noise according to the magnitude of each voxel, and other phase errors, such as dephasing in
    voxels with several tissues, and residuals of the smoothed coil phase at the rim. Errors of unwrapping and
    background removal are not included.

    If there is fat in the mask, and at least three echoes, the field is that of a fit of water, fat, field and R2* to
    each voxel which starts at the truth, so that water and fat are not exchanged. With fewer echoes, the resonances of
    fat are among the errors, as in any field of such a scan.

    Args:
        local_field: (nx, ny, nz) ppm: the truth.
        total_field: (nx, ny, nz) ppm: the truth.
        signal_fat_fraction: (nx, ny, nz) 0–1: the truth; None if there is no fat.
        r2star: (nx, ny, nz) 1/s: the truth, where the fit starts; None: 0.
        peaks: number of peaks of the fat spectrum.
    """
    fat = 0.0 if signal_fat_fraction is None or not mask.any() else signal_fat_fraction[mask].mean()
    if fat > LEAST_FAT and te.size >= MIN_ECHOES:
        error, noise = _error_of_separation(total_field, r2star, phase, magnitude, mask, te, b0, peaks, r2star_max)
    else:
        residual = _residual_phase(total_field, phase, magnitude, mask, grid, te, b0, offset_smoothing)
        error, noise = fit(residual, magnitude, mask, grid, te, b0, offset_smoothing=offset_smoothing)
    return (local_field + error) * mask, (total_field + error) * mask, noise


def _error_of_separation(total_field, r2star, phase, magnitude, mask, te, b0, peaks, r2star_max):
    """Compute the error of the field of a fit that starts at the truth, and its standard deviation [ppm]."""
    start = total_field[mask] * hz_per_ppm(b0)
    rate = np.zeros_like(start) if r2star is None else r2star[mask]
    signal = signal_in(phase, magnitude, mask)
    found = complete(signal, start, rate, te, b0, peaks=peaks, r2star_max=r2star_max)
    _, water, fat, field, fitted = found.volumes(mask, b0)
    precision = field_precision(water, fat, fitted, mask, te, b0, peaks)
    sigma = noise_of(magnitude, mask, np.abs(signal[:, 0]).max())
    noise = np.divide(sigma / rad_per_ppm(b0, 1.0), precision, out=np.zeros_like(precision), where=precision > 0)
    return (field - total_field) * mask, noise.astype(np.float32)


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
