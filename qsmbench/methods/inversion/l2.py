"""Closed-form inversion with a quadratic penalty."""

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solution import report_solution

PENALTIES = {"identity": 0, "gradient": 1, "laplacian": 2}
"""Order of the derivative of χ that is penalised."""


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/jmri.24365", portable=True)
def l2(local_field, mask, grid, *, penalty="identity", regularisation=0.005, pad=30.0):
    """Closed-form L2: the minimiser of ‖Dχ − field‖² + λ‖Pχ‖², in one division in k-space.

    P is the identity (Tikhonov), the gradient, or the Laplacian. The field is taken as zero outside the mask. That is
    false, and the error is smooth: it lies at low spatial frequencies, which the derivatives hardly penalise. With a
    field that is known everywhere the gradient is the better penalty; cut off at the mask, the identity is. λ is then
    about the power of that error over the power of χ. The iterative methods keep the mask in the data term instead.

    Args:
        local_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        penalty: identity, gradient or laplacian.
        regularisation: λ; without unit for the identity, mm² for the gradient (per mm), mm⁴ for the Laplacian.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.

    Raises:
        QsmbenchError: there is no such penalty.

    Reference:
        Bilgic 2014, doi:10.1002/jmri.24365; identity: de Rochefort 2008, doi:10.1002/mrm.21710.
    """
    if penalty not in PENALTIES:
        raise QsmbenchError(f"penalty is {penalty!r}; legal are {', '.join(PENALTIES)}")
    window = Window.around(mask, grid, pad)
    field = window.take(local_field, mask)
    kernel = like(dipole_kernel(grid, window.shape), field)
    normal = like(laplacian_spectrum(grid, window.shape), field) ** PENALTIES[penalty] * regularisation
    normal += kernel**2
    normal[0, 0, 0] = 1  # the kernel is zero there: the mean of χ is undetermined and left at zero
    chi = convolve(field, kernel / normal)
    report_solution(chi, field, window.take_mask(mask), grid)
    return subtract_mask_mean(window.put(chi, mask), mask)
