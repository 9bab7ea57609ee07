"""Truncated k-space division."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.problem import Problem


@method(produces="chi", reference="Wharton 2010, doi:10.1002/mrm.22334", portable=True)
def tsvd(local_field, mask, grid, *, threshold=0.07, pad=30.0):
    """Truncated singular value decomposition: divide the field by the dipole kernel where |D| exceeds the threshold.

    Fourier modes are the singular vectors of a convolution, and |D| the singular values; modes at or below the
    threshold are omitted.

    Args:
        threshold: smallest |D| that is divided by.

    Reference:
        Wharton 2010, doi:10.1002/mrm.22334.
    """
    problem = Problem(local_field, mask, grid, pad)
    kernel = dipole_kernel(grid, problem.shape)
    kept = np.abs(kernel) > np.float32(threshold)
    inverse = kept / np.where(kept, kernel, np.float32(1))
    return problem.finish(convolve(problem.field, like(inverse, problem.field)))
