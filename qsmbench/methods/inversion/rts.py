"""Rapid two-step inversion: a few iterations of least squares, then total variation where the kernel is small."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, to_numpy
from qsmbench.ops.arrays.fft import hermitian_weights, irfftn, rfftn
from qsmbench.ops.solvers.admm import minimise
from qsmbench.ops.solvers.problem import Problem
from qsmbench.ops.solvers.total_variation import TotalVariation

_BINS = 1 << 14


@method(produces="chi", reference="Kames 2018, doi:10.1016/j.neuroimage.2017.11.018", portable=True)
def rts(
    local_field,
    mask,
    grid,
    *,
    threshold=0.15,
    regularisation=1e-5,
    penalty=400.0,
    relaxation=1.8,
    n_least_squares=15,
    tolerance=0.01,
    max_iterations=20,
    pad=30.0,
):
    """Rapid two-step: well-conditioned k-space by least squares, the rest of it by total variation.

    Step 1 stops least squares of the field early (the iterates of LSMR), before noise near the cone has grown. Step 2
    finds the χ of least total variation among those that agree with step 1 where |D| exceeds the threshold: the
    minimiser of ½‖K(χ − χ₁)‖² + λ‖∇χ‖₁, K keeping these frequencies; by ADMM, one Fourier round trip per iteration.

    Args:
        threshold: |D| above which step 1 is kept.
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; affects the speed, not the converged
            solution.
        n_least_squares: number of iterations of step 1.
        tolerance: stop step 2 when χ changes by less than this fraction between iterations.
        max_iterations: largest number of iterations of step 2.

    Reference:
        Kames 2018, doi:10.1016/j.neuroimage.2017.11.018.
    """
    problem = Problem(local_field, mask, grid, pad)
    kernel = to_numpy(problem.kernel)
    spectrum = rfftn(problem.field)
    spectrum *= like(_lsmr_filter(to_numpy(spectrum), kernel, problem.field.shape, n_least_squares), problem.field)
    first = irfftn(spectrum, problem.field.shape) * problem.inside()
    data = _KnownSpectrum(first, like((np.abs(kernel) > threshold).astype(np.float32), first))
    variation = TotalVariation(problem.zero(), grid, regularisation, penalty)
    return problem.finish(minimise(data, variation, relaxation, tolerance, max_iterations))


class _KnownSpectrum:
    """The data term ½‖K(χ − χ₁)‖² of `admm.minimise`, which is diagonal in k-space and needs no splitting."""

    def __init__(self, first, kept):
        self._kept, self._known = kept, rfftn(first) * kept

    def normal(self, regulariser):
        return regulariser + self._kept

    def solve(self, right, normal):
        return compute(lambda _, r, k, n: (r + k) * (1 / n), right, self._known, normal, out=right), None

    def update(self, field_hat, relaxation):
        pass


def _lsmr_filter(spectrum, kernel, shape, n_iterations):
    """Compute the factors that `n_iterations` of LSMR on ‖Dχ − field‖ multiply the spectrum of the field with.

    Each step is a polynomial in D, whose coefficients depend on the field only through its power at each |D|. So LSMR
    (conjugate residuals on the normal equations) runs on a histogram of D² instead of volumes.
    """
    width = 0.45 / _BINS  # D² is at most 4/9
    bins = (kernel**2 / np.float32(width)).astype(np.uint16)
    power = (spectrum.real**2 + spectrum.imag**2) * hermitian_weights(shape)
    squared = (np.arange(_BINS) + 0.5) * width
    weight = squared * np.bincount(bins.reshape(-1), power.reshape(-1), _BINS)

    gain, residual = np.zeros(_BINS), np.ones(_BINS)  # χ = gain · D · field, and what is left of the normal equations
    descent = residual.copy()
    along = weight @ (squared * residual**2)
    for _ in range(n_iterations):
        length = weight @ (squared * descent) ** 2
        if length <= 1e-30 * along:
            break
        gain += along / length * descent
        residual -= along / length * squared * descent
        previous, along = along, weight @ (squared * residual**2)
        descent = residual + along / previous * descent
    return kernel * gain.astype(np.float32)[bins]
