"""Background removal by iterated spherical mean values."""

from qsmbench.method import method
from qsmbench.ops.kernels.sphere import SphericalMean
from qsmbench.ops.solvers.restricted import solve_restricted


@method(produces=("local_field", "mask"), reference="Wen 2014, doi:10.1002/mrm.24998", portable=True)
def ismv(total_field, mask, grid, *, radius=4.0, tolerance=1e-2, max_iterations=100):
    """iSMV: the background is what no longer changes when each voxel takes the mean over a ball around it.

    Voxels around which the ball does not fit keep the total field, and so bound the background. Wen 2014 repeats the
    means until they change no more; the fixed point is the solution of a symmetric linear system for the local field,
    (1 − mean)·local = (1 − mean)·field where the ball fits and local = 0 elsewhere, which
    preconditioned conjugate gradients find in far fewer steps.

    Args:
        total_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        radius: of the ball, mm; not less than the longest side of a voxel is used.
        tolerance: stop when the residual has fallen to this fraction of its start (see `ops.solvers.restricted`).
        max_iterations: stop then at the latest.

    Returns:
        local_field: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere into the mask.

    Reference:
        Wen 2014, doi:10.1002/mrm.24998.
    """
    mean = SphericalMean(mask, grid, radius)
    right = mean.subtract_mean(mean.window.take(total_field, mask))
    local = solve_restricted(1 - mean.kernel, mean.centres, right, tolerance, max_iterations)
    eroded = mean.window.put(mean.centres, mask)
    return mean.window.put(local, eroded), eroded
