"""Background removal with spherical mean values of variable radius."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, to_numpy
from qsmbench.ops.arrays.fft import Window, irfftn, rfftn
from qsmbench.ops.kernels.sphere import deconvolve_smv, smv_kernel
from qsmbench.ops.masks.morphology import depth

_GROWTH = 0.2  # of the radius, the largest step: as accurate as steps of a millimetre, in half the time


@method(produces=("local_field", "mask"), reference="Wu 2012, doi:10.1002/mrm.23000", portable=True)
def vsharp(total_field, mask, grid, *, radius_max=20.0, radius_min=2.0, radius_step=1.0, threshold=0.1, pad=50.0):
    """V-SHARP: subtract the mean over the largest ball that fits in the mask, and deconvolve.

    A harmonic field equals its mean over any ball, so that the field minus its mean contains no background. This also
    filters the local field, which is deconvolved with the kernel of the largest ball, except for frequencies at which
    the filter is below `threshold`. Voxels around which not even the smallest ball fits are removed from the mask.

    Near the edge the ball was smaller than the deconvolution assumes, and the deconvolution enlarges the error at low
    frequencies, the more the smaller the largest ball is. By default, the threshold leaves out frequencies below
    0.008 per mm; Özbay 2017 recommends 0 to 0.009.

    Args:
        radius_max: radius of the largest ball, mm.
        radius_min: radius of the smallest ball, mm; raised to √2 times the longest voxel side if smaller, since a ball
            of only seven voxels is no more than a Laplacian.
        radius_step: smallest difference between the radii, mm; it grows to a fifth of the radius.
        threshold: smallest value of the filter that is divided by (truncated SVD).

    Returns:
        mask: (nx, ny, nz) bool, eroded.

    Raises:
        NotApplicable: not even the smallest ball fits into the mask.

    Reference:
        Wu 2012, doi:10.1002/mrm.23000; SHARP: Schweser 2011, doi:10.1016/j.neuroimage.2010.10.070; radius and
        threshold: Özbay 2017, doi:10.1002/nbm.3550.
    """
    smallest = max(radius_min, 2**0.5 * max(grid.voxel_size))
    window = Window.around(mask, grid, pad)
    distance = depth(to_numpy(window.take_mask(mask)), grid).astype(np.float32)
    radii = [r for r in _radii(smallest, radius_max, radius_step) if distance.max() > r]
    if not radii:
        raise NotApplicable(f"no ball of radius {smallest:g} mm fits into the mask")
    field = window.take(total_field, mask)
    distance, field_hat = like(distance, field), rfftn(field)

    filtered = kernel = None
    for radius in radii:
        kernel = like(smv_kernel(grid, window.shape, radius), field)
        mean = irfftn(kernel * field_hat, window.shape)
        filtered = field * 0 if filtered is None else filtered
        compute(_filter, field, mean, distance, filtered, out=filtered, radius=radius * (1 + 1e-6))
    eroded = window.put(distance > radii[0] * (1 + 1e-6), mask)
    return window.put(deconvolve_smv(filtered, kernel, threshold), eroded), eroded


def _radii(smallest, largest, step):
    """Return the radii of the balls in ascending order [mm]."""
    radii = [smallest]
    while radii[-1] < largest - 1e-6:
        radii.append(min(largest, radii[-1] + max(step, _GROWTH * radii[-1])))
    return radii


def _filter(xp, field, mean, distance, filtered, *, radius):
    """Subtract the mean where the ball fits, which replaces the result of a smaller ball."""
    return xp.where(distance > radius, field - mean, filtered)
