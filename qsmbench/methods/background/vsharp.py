"""Background removal with spherical mean values of variable radius."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Window, irfftn, rfftn
from qsmbench.ops.kernels.sphere import ball_centres, deconvolve_smv, smv_kernel


@method(produces=("local_field", "mask"), reference="Wu 2012, doi:10.1002/mrm.23000", portable=True)
def vsharp(total_field, mask, grid, *, radius_max=12.0, radius_min=2.0, radius_step=2.0, threshold=0.05):
    """V-SHARP: subtract the mean over the largest ball that fits in the mask, and deconvolve.

    A harmonic field equals its mean over any ball, so that the field minus its mean contains no background. This also
    filters the local field, which is deconvolved with the kernel of the largest ball, except for frequencies at which
    the filter is below `threshold`. Voxels around which not even the smallest ball fits are removed from the mask.

    Args:
        radius_max: radius of the largest ball, mm.
        radius_min: radius of the smallest ball, mm; raised to the longest voxel side if smaller.
        radius_step: difference between the radii, mm.
        threshold: smallest value of the filter that is divided by (truncated SVD).

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: not even the smallest ball fits into the mask.

    Reference:
        Wu 2012, doi:10.1002/mrm.23000; SHARP: Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070.
    """
    smallest = max(radius_min, *grid.voxel_size)
    radii = np.arange(smallest, max(radius_max, smallest) + 1e-6, radius_step)[::-1]
    window = Window.around(mask, grid, pad=2 * radii[0])
    field = window.take(total_field, mask)
    xp = namespace(field)
    inside = window.take_mask(mask)
    field_hat, mask_hat = rfftn(field), rfftn(xp.astype(inside, xp.float32))

    filtered, done, largest = xp.zeros_like(field), xp.zeros_like(inside), None
    for radius in radii:
        kernel = like(smv_kernel(grid, window.shape, float(radius)), field)
        centres = ball_centres(mask_hat, kernel, window.shape)
        if largest is None and not xp.any(centres):
            continue
        largest = kernel if largest is None else largest
        mean = irfftn(kernel * field_hat, window.shape)
        compute(_fill_new_centres, field, mean, centres, filtered, done, out=(filtered, done))
    if largest is None:
        raise NotApplicable(f"no ball of radius {smallest:g} mm fits into the mask")

    eroded = window.put(done, mask)
    return window.put(deconvolve_smv(filtered, largest, threshold), eroded), eroded


def _fill_new_centres(xp, field, mean, centres, filtered, done):
    """Fill in the filtered field where a ball fits for the first time, and update the filled voxels."""
    return xp.where(centres & ~done, field - mean, filtered), done | centres
