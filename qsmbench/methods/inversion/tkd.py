"""Thresholded k-space division."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.fft import Window, convolve, hermitian_weights
from qsmbench.ops.kernels.dipole import dipole_kernel, truncated_inverse
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution


@method(produces="chi", reference="Shmueli 2009, doi:10.1002/mrm.22135", portable=True)
def tkd(local_field, mask, grid, *, threshold=0.2, rescale=False, pad=30.0):
    """Thresholded k-space division: divide the field by the dipole kernel, held away from zero.

    Where |D| is below the threshold, it is replaced by the threshold with the sign of D. That lowers χ everywhere;
    `rescale` divides by the height of the point-spread function, which restores it (Schweser 2013).

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        threshold: smallest |D| that is divided by.
        rescale: undo the underestimation of χ.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Shmueli 2009, doi:10.1002/mrm.22135; rescaling: Schweser 2013, doi:10.1002/mrm.24405.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    inverse = truncated_inverse(grid, window.shape, threshold)
    if rescale:
        inverse /= _psf_height(dipole_kernel(grid, window.shape) * inverse, window.shape)
    chi = convolve(field, like(inverse, field))
    report_solution(chi, field, window.take_mask(mask), grid)
    return subtract_mask_mean(window.put(chi, mask), mask)


def _psf_height(transfer, shape):
    """The mean of the transfer function over the whole of k-space: the height of the point-spread function."""
    return np.float32((transfer.sum(axis=(0, 1), dtype=np.float64) @ hermitian_weights(shape)) / np.prod(shape))
