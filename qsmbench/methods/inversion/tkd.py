"""Thresholded k-space division."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.fft import convolve, hermitian_weights
from qsmbench.ops.kernels.dipole import dipole_kernel, truncated_inverse
from qsmbench.ops.solvers.problem import Problem


@method(produces="chi", reference="Shmueli 2009, doi:10.1002/mrm.22135", portable=True)
def tkd(local_field, mask, grid, *, threshold=0.2, rescale=False, pad=30.0):
    """Thresholded k-space division: divide the field by the dipole kernel, kept away from zero.

    Where |D| is below the threshold, it is replaced by the threshold with the sign of D. That underestimates χ;
    `rescale` divides by the height of the point-spread function, which corrects it (Schweser 2013).

    Args:
        threshold: smallest |D| that is divided by.
        rescale: correct the underestimation of χ.

    Reference:
        Shmueli 2009, doi:10.1002/mrm.22135; rescaling: Schweser 2013, doi:10.1002/mrm.24405.
    """
    problem = Problem(local_field, mask, grid, pad)
    inverse = truncated_inverse(grid, problem.shape, threshold)
    if rescale:
        inverse /= _psf_height(dipole_kernel(grid, problem.shape) * inverse, problem.shape)
    return problem.finish(convolve(problem.field, like(inverse, problem.field)))


def _psf_height(transfer, shape):
    """Compute the mean of the transfer function over k-space: the height of the point-spread function."""
    return np.float32((transfer.sum(axis=(0, 1), dtype=np.float64) @ hermitian_weights(shape)) / np.prod(shape))
