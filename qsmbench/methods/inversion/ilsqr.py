"""Iterative least squares, minus the streaks, which are estimated from the ill-conditioned part of k-space."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.algebra import dot, mean_inside
from qsmbench.ops.arrays.array import like, masked, namespace, to_numpy
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint, laplacian_spectrum
from qsmbench.ops.arrays.fft import Window, convolve, irfftn, rfftn
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.kernels.sphere import smv_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.residual import conjugate_residual
from qsmbench.ops.solvers.solve import cg

_REFERENCE_THRESHOLD = 1 / 8  # of the k-space division that gives fast QSM its scale
_EXPONENT = 0.001  # of |D| in fast QSM's weight of k-space
_RADIUS = 3.0  # mm, of the ball that fast QSM smooths the cone with


@method(produces="chi", reference="Li 2015, doi:10.1016/j.neuroimage.2014.12.043", portable=True)
def ilsqr(
    local_field,
    mask,
    grid,
    *,
    threshold=0.1,
    rough=(60.0, 99.9),
    boundaries=(50.0, 70.0),
    tolerance=0.003,
    streak_tolerance=0.1,
    max_iterations=50,
    pad=30.0,
):
    """iLSQR: least squares minus streaks, the part in the k-space cone that causes gradients away from boundaries of χ.

    1. Least squares of the field, DWDχ = DW·field, with little weight on voxels with a large Laplacian of the field.
    2. Fast QSM, sign(D)·field with the cone smoothed, shows where χ has boundaries.
    3. The streaks are the volume of frequencies |D| < threshold whose gradient is closest to that of step 1, away from
       these boundaries. They are subtracted.

    Differences:
        LSQR on the symmetric systems 1 and 3 is replaced by solvers that need one operator per iteration: conjugate
        residuals, and conjugate gradients preconditioned by the inverse Laplacian.

    Args:
        threshold: |D| below which k-space is ill-conditioned.
        rough: percentiles of the field's Laplacian, in absolute value, between which the weight in step 1 falls from
            1 to 0.
        boundaries: percentiles of fast QSM's differences, in absolute value, between which the weight in step 3 falls
            from 1 to 0.
        tolerance: stop step 1 when its residual has fallen to this fraction of its start.
        streak_tolerance: stop step 3 when its gradient has fallen to this fraction of its start.
        max_iterations: largest number of iterations of steps 1 and 3 each.

    Reference:
        Li 2015, doi:10.1016/j.neuroimage.2014.12.043.
    """
    window = Window.around(mask, grid, pad)
    inside, field = window.take_mask(mask), window.take(local_field, mask)
    kernel = like(dipole_kernel(grid, window.shape), field)

    weight = _falling_weight(_laplacian(field, inside, grid.voxel_size), inside, rough)
    right = convolve(field * weight, kernel)
    chi = conjugate_residual(lambda x: convolve(convolve(x, kernel) * weight, kernel), right, tolerance, max_iterations)
    chi = masked(chi, inside)

    slopes = gradient(_fast_qsm(field, inside, kernel, grid), grid.voxel_size)
    xp = namespace(field)
    flat = xp.stack([_falling_weight(slopes[axis, ...], inside, boundaries) for axis in range(3)]) ** 2
    del slopes
    streaks = _streaks(chi, flat, kernel, grid, threshold, streak_tolerance, max_iterations)
    return subtract_mask_mean(window.put(chi - streaks, mask), mask)


def _falling_weight(volume, inside, percentiles):
    """Compute weights that fall from 1 to 0 as |volume| rises between two percentiles in the mask; 0 outside."""
    size = abs(volume)
    low, high = (float(v) for v in np.percentile(to_numpy(size)[to_numpy(inside)], percentiles))
    if high <= low:
        return masked(size <= low, inside)
    return masked(namespace(size).clip((high - size) / (high - low), 0.0, 1.0), inside)


def _laplacian(volume, inside, voxel_size):
    """Sum the second differences, without those to voxels outside the mask."""
    xp = namespace(volume)
    total = xp.zeros_like(volume)
    for axis, d in enumerate(voxel_size):
        for shift in (1, -1):
            both = xp.roll(inside, shift, axis=axis) & inside
            total += masked((xp.roll(volume, shift, axis=axis) - volume) / d**2, both)
    return total


def _fast_qsm(field, inside, kernel, grid):
    """Compute χ [ppm] by sign(D)·field, with frequencies near the cone smoothed twice, scaled to k-space division."""
    xp = namespace(field)
    power = abs(kernel) ** _EXPONENT
    low, high = (float(v) for v in np.percentile(to_numpy(power), (1, 30)))
    trust = xp.clip((power - low) / (high - low), 0.0, 1.0)
    radius = max(_RADIUS, *grid.voxel_size)
    mix = trust + (1 - trust) * like(smv_kernel(grid, field.shape, radius), field)

    spectrum = rfftn(field)
    limited = xp.clip(abs(kernel), _REFERENCE_THRESHOLD, None)
    reference = masked(irfftn(spectrum / xp.where(kernel < 0, -limited, limited), field.shape), inside)
    chi = masked(irfftn(spectrum * xp.sign(kernel) * mix, field.shape), inside)
    chi = masked(convolve(chi, mix), inside)
    chi = masked(chi - mean_inside(chi, inside), inside)
    square = dot(chi, chi)
    if square > 0:
        chi *= dot(chi, masked(reference - mean_inside(reference, inside), inside)) / square
    return chi


def _streaks(chi, flat, kernel, grid, threshold, tolerance, max_iterations):
    """Find the volume of frequencies |D| < threshold whose gradient is closest to that of χ where `flat` is not 0.

    By conjugate gradients, preconditioned by the inverse Laplacian on these frequencies: one Fourier round trip per
    iteration projects and preconditions.
    """
    xp = namespace(chi)
    size = grid.voxel_size
    laplacian = like(laplacian_spectrum(grid, chi.shape), chi)
    cone = (abs(kernel) < threshold) & (laplacian > 0)
    inverse = xp.where(cone, 1 / xp.where(cone, laplacian, 1.0), 0.0)

    def normal(volume):
        slopes = gradient(volume, size)
        slopes *= flat
        return gradient_adjoint(slopes, size)

    return cg(normal, normal(chi), tolerance, max_iterations, precondition=lambda slope: convolve(slope, inverse))
