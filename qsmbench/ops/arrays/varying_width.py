"""Gaussian smoothing in a mask with a width that varies from voxel to voxel."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import compute, like, namespace
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.ops.arrays.smooth import gaussian_spectrum

_RATIO = 2**0.5  # of the widths that are interpolated between


def smooth_by_width(volume: Any, inside: Any, width: Any, grid: Grid) -> Any:
    """Compute the mean over the mask around each voxel, weighted by a Gaussian of that voxel's width.

    The whole volume is smoothed with several widths; between them the result is interpolated linearly in the square of
    the width, which is proportional to the equivalent diffusion time.

    Args:
        volume: (nx, ny, nz) float32, zero outside the mask, on a cyclic grid with room around the mask.
        inside: (nx, ny, nz) bool, the mask.
        width: (nx, ny, nz) float32, mm, standard deviation, > 0 in the mask.
        grid: voxel size.

    Returns:
        (nx, ny, nz) float32, unit of the volume, zero outside the mask.
    """
    xp = namespace(volume)
    ones = xp.astype(inside, xp.float32)
    low = float(xp.min(xp.where(inside, width, xp.full_like(width, np.inf))))
    high = float(xp.max(xp.where(inside, width, xp.zeros_like(width))))
    n_steps = max(int(np.ceil(np.log(high / low) / np.log(_RATIO))), 1)
    squares = np.geomspace(low, max(high, low * (1 + 1e-3)), n_steps + 1) ** 2
    volume_hat, ones_hat = rfftn(volume), rfftn(ones)
    mean = xp.zeros_like(volume)
    for i, square in enumerate(squares):
        kernel = like(gaussian_spectrum(grid, volume.shape, float(square) ** 0.5), volume)
        above, total = (irfftn(hat * kernel, volume.shape) for hat in (volume_hat, ones_hat))
        before, after = (float(squares[min(max(j, 0), n_steps)]) for j in (i - 1, i + 1))
        constants = {"before": before, "here": float(square), "after": after}
        compute(_add_interpolated, mean, above, total, ones, width, out=mean, **constants)
    return mean


def _add_interpolated(xp, mean, above, total, inside, width, *, before, here, after):
    """Add the mean at this width to `mean`, weighted by its proximity to the width of the voxel."""
    square = width**2
    share = xp.ones_like(width)
    if before < here:
        share = xp.where(square < here, (square - before) / (here - before), share)
    if after > here:
        share = xp.where(square > here, (after - square) / (after - here), share)
    share = xp.clip(share, 0.0, 1.0)
    return mean + inside * share * above / xp.clip(total, 1e-6, None)
