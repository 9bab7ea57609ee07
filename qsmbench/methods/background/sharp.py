"""Background removal with spherical mean values of one radius."""

from qsmbench.method import method
from qsmbench.ops.kernels.sphere import SphericalMean, deconvolve_smv


@method(
    produces=("local_field", "mask"), reference="Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070", portable=True
)
def sharp(total_field, mask, grid, *, radius=6.0, threshold=0.05):
    """SHARP: take the mean over a ball away, which every harmonic field equals, and undo the filtering.

    The local field is filtered too; dividing by the filter in k-space restores it, but for the frequencies below
    `threshold`. Voxels around which the ball does not fit leave the mask.

    Args:
        total_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        radius: of the ball, mm; not less than the longest side of a voxel is used.
        threshold: frequencies that the filter passes with less than this are left out (truncated SVD).

    Returns:
        local_field: (nx, ny, nz) float32, ppm.
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: the ball fits nowhere into the mask.

    Reference:
        Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070.
    """
    mean = SphericalMean(mask, grid, radius, pad=2 * max(radius, *grid.voxel_size))
    filtered = mean.subtract_mean(mean.window.take(total_field, mask))
    eroded = mean.window.put(mean.centres, mask)
    return mean.window.put(deconvolve_smv(filtered, mean.kernel, threshold), eroded), eroded
