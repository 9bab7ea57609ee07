"""Background removal with spherical mean values of one radius."""

from qsmbench.method import method
from qsmbench.ops.kernels.sphere import SphericalMean, deconvolve_smv


@method(
    produces=("local_field", "mask"), reference="Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070", portable=True
)
def sharp(total_field, mask, grid, *, radius=6.0, threshold=0.05, pad=50.0):
    """SHARP: subtract the mean over a ball, which equals any harmonic field, and deconvolve.

    This also filters the local field; division by the filter in k-space restores it, except for frequencies at which
    the filter is below `threshold`. Voxels around which the ball does not fit are removed from the mask. `pad` makes
    the samples of k-space dense where the filter reaches the threshold.

    Args:
        threshold: smallest value of the filter that is divided by (truncated SVD).

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere in the mask.

    Reference:
        Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070.
    """
    mean = SphericalMean(mask, grid, radius, pad)
    return mean.finish(deconvolve_smv(mean.subtract_mean(total_field), mean.kernel, threshold))
