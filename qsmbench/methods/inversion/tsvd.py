"""Truncated k-space division."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution


@method(produces="chi", reference="Wharton 2010, doi:10.1002/mrm.22334", portable=True)
def tsvd(local_field, mask, grid, *, threshold=0.07, pad=30.0):
    """Truncated singular value decomposition: divide the field by the dipole kernel where |D| exceeds the threshold.

    Fourier modes are the singular vectors of a convolution, and |D| the singular values: what lies at or below the
    threshold is left out of χ.

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        threshold: smallest |D| that is divided by.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Wharton 2010, doi:10.1002/mrm.22334.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    kernel = dipole_kernel(grid, window.shape)
    kept = np.abs(kernel) > np.float32(threshold)
    inverse = kept / np.where(kept, kernel, np.float32(1))
    chi = convolve(field, like(inverse, field))
    report_solution(chi, field, window.take_mask(mask), grid)
    return subtract_mask_mean(window.put(chi, mask), mask)
