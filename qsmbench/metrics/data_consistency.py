"""How well the reconstruction explains the field."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import centred_values, norm, scatter
from qsmbench.ops.arrays.box import bounding_box
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.kernels.dipole import dipole_kernel


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Marques and Bowtell 2005, doi:10.1002/cmr.b.20034",
    label="data consistency",
    artifacts=("chi",),
    centred=False,
)
def data_consistency(estimate, support, mask, field, grid):
    """Norm of the field that χ makes minus the field that χ was made from, over the norm of the latter.

    100 · ‖D∗χ − f‖ / ‖f‖ in the mask, both relative to their mean there; χ is relative to its mean in the
    support and 0 outside. It needs no truth, but is no accuracy: noise and streaks are consistent with the
    data too.

    Returns:
        float, %.

    Raises:
        NotApplicable: the field is constant within the mask, or nothing was reconstructed.
    """
    if not support.any():
        raise NotApplicable("the method reconstructed no voxel")
    measured = centred_values(field, mask)
    size = norm(measured)
    if size == 0:
        raise NotApplicable("the field is constant within the mask")
    near = bounding_box(support | mask)
    chi = scatter(centred_values(estimate, support), support[near])
    predicted = centred_values(dipole_field(chi, grid), mask[near])
    return 100 * (norm(predicted - measured) / size)


def dipole_field(chi: np.ndarray, grid: Grid) -> np.ndarray:
    """Compute the field of a susceptibility map: k-space dipole 1/3 − (k·b)²/k², 0 at k = 0, padded to twice the shape.

    Args:
        chi: (nx, ny, nz), ppm; a box cut from a volume on `grid`.
        grid: gives the voxel size and the direction of B0.

    Returns:
        (nx, ny, nz) float32, ppm of B0.
    """
    nx, ny, nz = (next_fast_len(2 * n, real=True) for n in chi.shape)
    padded = np.zeros((nx, ny, nz), np.float32)
    corner = tuple(slice(n) for n in chi.shape)
    padded[corner] = chi
    return convolve(padded, dipole_kernel(grid, (nx, ny, nz)))[corner]
