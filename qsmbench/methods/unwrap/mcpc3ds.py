"""Removal of the phase at TE = 0."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.phase.phase_offset import connected_parts, estimate_offset, wrap


@method(produces="phase", reference="Eckstein 2018, doi:10.1002/mrm.26963")
def mcpc3ds(phase, magnitude, mask, grid, te, *, smoothing=5.0):
    """MCPC-3D-S: take the phase at TE = 0 off every echo, so that phase is proportional to TE.

    The phase of the coils is smooth. It is the first echo's, carried back to TE = 0 with the unwrapped difference
    of the first two echoes, and smoothed as a complex number. Here the coils have been combined already, so that there
    is one offset for all. Outside the mask the phase stays as it is.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        smoothing: standard deviation of the Gaussian, mm.

    Returns:
        phase: (nx, ny, nz, n_echoes) float32, rad, within ±π.

    Raises:
        NotApplicable: there is a single echo.

    Reference:
        Eckstein 2018, doi:10.1002/mrm.26963.
    """
    if te.size < 2:
        raise NotApplicable("the phase at TE = 0 needs two echoes at least, and there is one")
    offset = np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        offset[box] += estimate_offset(phase[box], magnitude[box], inside, grid, te, smoothing)
    return wrap(phase - offset[..., None])
