"""Background removal by iterated spherical mean values."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.sphere import SphericalMean


@method(produces=("local_field", "mask"), reference="Wen 2014, doi:10.1002/mrm.24998", portable=True)
def ismv(total_field, mask, grid, *, radius=5.0, n_iterations=50):
    """iSMV: the background is what remains of the field after taking its mean over a ball again and again.

    Voxels around which the ball does not fit keep the total field, as boundary values of the background. One mean
    leaves a harmonic field as it is and smooths the local field, first where it varies most; the limit of many means is
    the field that equals its own mean. The boundary values contain the local field of sources at the edge of the mask,
    which the limit continues into the mask: with strong sources there, many more iterations increase the error. So the
    number of iterations is the regularisation.

    Args:
        n_iterations: number of means.

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere in the mask.

    Reference:
        Wen 2014, doi:10.1002/mrm.24998.
    """
    mean = SphericalMean(mask, grid, radius)
    field = mean.take(total_field)
    background = field
    for _ in range(n_iterations):
        background = compute(_replace, field, convolve(background, mean.kernel), mean.centres)
    return mean.finish(field - background)


def _replace(xp, field, mean, centres):
    return xp.where(centres, mean, field)
