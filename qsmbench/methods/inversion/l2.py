"""Closed-form inversion with gradient regularisation."""

from qsmbench.ops.array import like
from qsmbench.ops.difference import laplacian_spectrum
from qsmbench.ops.dipole import dipole_kernel
from qsmbench.ops.fft import Window, convolve
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.solution import solved
from qsmbench.registry import method


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/jmri.24365", portable=True)
def l2(local_field, mask, grid, *, regularisation=0.01, pad=30.0):
    """Closed-form L2: the minimiser of ‖Dχ − field‖² + λ‖∇χ‖², in one division in k-space.

    The field is taken as zero outside the mask.

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        regularisation: λ, mm² (the gradient is per mm).
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Reference:
        Bilgic 2014, doi:10.1002/jmri.24365.
    """
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    kernel = like(dipole_kernel(grid, window.shape), field)
    normal = like(laplacian_spectrum(grid, window.shape), field) * regularisation
    normal += kernel**2
    normal[0, 0, 0] = 1  # the kernel is zero there: the mean of χ is undetermined and left at zero
    chi = convolve(field, kernel / normal)
    solved(chi, field, window.take_mask(mask), grid)
    return refer_to_mask(window.put(chi, mask), mask)
