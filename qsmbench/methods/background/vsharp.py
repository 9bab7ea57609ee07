"""Background removal with spherical mean values of variable radius."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.ops.fft import Window, irfftn, rfftn
from qsmbench.ops.sphere import smv_kernel
from qsmbench.registry import method


@method(produces=("local_field", "mask"), reference="Wu 2012, doi:10.1002/mrm.23000")
def vsharp(total_field, mask, grid, *, radius_max=8.0, radius_min=2.0, radius_step=1.0, threshold=0.05):
    """V-SHARP: take the mean over the largest ball that fits into the mask away, and undo the filtering.

    A harmonic field equals its mean over any ball, so field minus mean is free of background. That filters the
    local field too; it is deconvolved with the largest ball's kernel, leaving out frequencies below `threshold`.
    Voxels around which not even the smallest ball fits leave the mask.

    Args:
        total_field: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        radius_max: of the largest ball, mm.
        radius_min: of the smallest ball, mm; not less than the longest side of a voxel is used.
        radius_step: between the balls, mm.
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
    radii = np.arange(max(radius_max, smallest), smallest - 1e-6, -radius_step)
    window = Window.around(mask, grid, pad=2 * radii[0] + max(grid.voxel_size))
    field_hat, mask_hat = rfftn(window.take(total_field, mask)), rfftn(window.take(mask))

    filtered = np.zeros(window.shape, np.float32)
    done = np.zeros(window.shape, bool)
    inverse = None
    for radius in radii:
        kernel = smv_kernel(grid, window.shape, radius)
        fits = irfftn(kernel * mask_hat, window.shape) > 1 - 2e-5  # beyond rounding, the ball lies in the mask
        if not fits.any():
            continue
        kernel = 1 - kernel
        if inverse is None:
            inverse = np.where(kernel < threshold, 0, 1 / np.maximum(kernel, np.float32(threshold)))
        np.copyto(filtered, irfftn(kernel * field_hat, window.shape), where=fits & ~done)
        done |= fits
    if inverse is None:
        raise NotApplicable(f"no ball of radius {smallest:g} mm fits into the mask")

    spectrum = rfftn(filtered)
    spectrum *= inverse
    eroded = window.put(done, mask)
    return window.put(irfftn(spectrum, window.shape), eroded), eroded
