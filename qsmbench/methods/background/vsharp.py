"""Background removal with spherical mean values of variable radius."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import Window, irfftn, rfftn
from qsmbench.ops.kernels.sphere import ball_centres, deconvolve_smv, smv_kernel


@method(produces=("local_field", "mask"), reference="Wu 2012, doi:10.1002/mrm.23000", portable=True)
def vsharp(total_field, mask, grid, *, radius_max=12.0, radius_min=2.0, radius_step=2.0, threshold=0.05):
    """V-SHARP: take the mean over the largest ball that fits into the mask away, and undo the filtering.

    A harmonic field equals its mean over any ball, so field minus mean is free of background. That filters the
    local field too; it is deconvolved with the largest ball's kernel, leaving out frequencies below `threshold`.
    Voxels around which not even the smallest ball fits leave the mask.

    Args:
        total_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        radius_max: of the largest ball, mm; the balls grow from the smallest by `radius_step` up to it.
        radius_min: of the smallest ball, mm; not less than the longest side of a voxel is used.
        radius_step: between the radii of the balls, mm.
        threshold: frequencies that the filter passes with less than this are left out (truncated SVD).

    Returns:
        local_field: (nx, ny, nz) float32, ppm.
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
        compute(_take_once, field, mean, centres, filtered, done, out=(filtered, done))
    if largest is None:
        raise NotApplicable(f"no ball of radius {smallest:g} mm fits into the mask")

    eroded = window.put(done, mask)
    return window.put(deconvolve_smv(filtered, largest, threshold), eroded), eroded


def _take_once(xp, field, mean, centres, filtered, done):
    """The filtered field where a ball fits for the first time, and where one has fitted so far."""
    return xp.where(centres & ~done, field - mean, filtered), done | centres
