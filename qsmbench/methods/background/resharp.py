"""Background removal with spherical mean values and Tikhonov regularisation."""

from qsmbench.method import method
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.sphere import SphericalMean
from qsmbench.ops.solvers.restricted import solve_restricted


@method(produces=("local_field", "mask"), reference="Sun & Wilman 2014, doi:10.1002/mrm.24765", portable=True)
def resharp(total_field, mask, grid, *, radius=4.0, regularisation=1e-4, tolerance=1e-2, max_iterations=100):
    """RESHARP: the minimiser of ‖M(C·local − C·field)‖² + λ‖local‖², C subtracting the mean over a ball.

    M is the mask without the voxels around which the ball does not fit. SHARP divides in k-space, as if the filtered
    field were known everywhere; RESHARP finds a small local field that reproduces the filtered field inside M.

    The minimiser is C·M·y, where y solves (M·C²·M + λ)·y = M·C·field: a system inside M only, with half the cost of the
    normal equations for the local field, solved by preconditioned conjugate gradients. Only voxels of the mask
    contribute, since balls around voxels of M lie in it.

    Args:
        regularisation: λ, weight of the regularisation, without unit.
        tolerance: stop when the residual has fallen to this fraction of its start (see `ops.solvers.restricted`).

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere in the mask.

    Reference:
        Sun & Wilman 2014, doi:10.1002/mrm.24765.
    """
    mean = SphericalMean(mask, grid, radius)
    passed = 1 - mean.kernel
    filtered = mean.subtract_mean(total_field)
    sources = solve_restricted(passed**2 + regularisation, mean.centres, filtered, tolerance, max_iterations)
    return mean.finish(convolve(sources, passed))
