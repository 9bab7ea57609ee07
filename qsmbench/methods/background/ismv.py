"""Background removal by iterated spherical mean values."""

from qsmbench.method import method
from qsmbench.ops.kernels.sphere import SphericalMean
from qsmbench.ops.solvers.restricted import solve_restricted


@method(produces=("local_field", "mask"), reference="Wen 2014, doi:10.1002/mrm.24998", portable=True)
def ismv(total_field, mask, grid, *, radius=4.0, tolerance=1e-2, max_iterations=100):
    """iSMV: the background is the field that equals its own mean over a ball around each voxel.

    Voxels around which the ball does not fit keep the total field, as boundary values of the background. Wen 2014
    iterates the mean until it converges; the fixed point is the solution of a symmetric linear system for the local
    field, (1 − mean)·local = (1 − mean)·field where the ball fits and local = 0 elsewhere, which preconditioned
    conjugate gradients find in far fewer iterations.

    Args:
        tolerance: stop when the residual has fallen to this fraction of its start (see `ops.solvers.restricted`).

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere in the mask.

    Reference:
        Wen 2014, doi:10.1002/mrm.24998.
    """
    mean = SphericalMean(mask, grid, radius)
    right = mean.subtract_mean(total_field)
    return mean.finish(solve_restricted(1 - mean.kernel, mean.centres, right, tolerance, max_iterations))
