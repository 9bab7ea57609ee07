"""Consistency of the reconstruction with the field."""

from __future__ import annotations

import numpy as np
import scipy.fft

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._values import centred_values, norm, scatter
from qsmbench.ops.arrays.box import bounding_box
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.threads import n_threads


@metric(
    unit="%",
    best=0.0,
    higher_is_better=False,
    reference="Marques and Bowtell 2005, doi:10.1002/cmr.b.20034",
    label="data consistency",
    artifacts=("chi",),
    centred=False,
    local=True,
)
def data_consistency(estimate, support, mask, field, grid):
    """Norm of the field of χ minus the input field of the inversion, divided by the norm of the latter.

    100 · ‖D∗χ − f‖ / ‖f‖ in the mask, both relative to their mean there; χ is relative to its mean in the support, and
    0 outside. It needs no truth, but does not measure accuracy: noise and streaks are also consistent with the data.

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
    (x, y, z), workers = chi.shape, n_threads()
    nx, ny, nz = (scipy.fft.next_fast_len(2 * n, real=True) for n in chi.shape)
    # The padding is zero, and what lies in it afterwards is not needed: most lines need no transform. Axis by axis, the
    # others are transformed as a transform of the whole padded volume would.
    spectrum = scipy.fft.rfft(np.asarray(chi, np.float32), nz, axis=2, workers=workers)
    spectrum = scipy.fft.fft(spectrum, nx, axis=0, workers=workers)
    spectrum = scipy.fft.fft(spectrum, ny, axis=1, workers=workers)
    spectrum *= dipole_kernel(grid, (nx, ny, nz))
    spectrum = scipy.fft.ifft(spectrum, axis=0, norm="forward", overwrite_x=True, workers=workers)[:x]
    spectrum = scipy.fft.ifft(spectrum, axis=1, norm="forward", overwrite_x=True, workers=workers)[:, :y]
    field = scipy.fft.irfft(spectrum, nz, axis=2, norm="forward", workers=workers)[:, :, :z]
    return field * np.float32(1 / (nx * ny * nz))
