"""Removal of the phase at TE = 0."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.phase.phase_offset import estimate_offset
from qsmbench.ops.phase.unwrap import connected_parts
from qsmbench.ops.phase.wrap import wrap


@method(produces="phase", reference="Eckstein 2018, doi:10.1002/mrm.26963")
def mcpc3ds(phase, magnitude, mask, grid, te, *, smoothing=5.0):
    """MCPC-3D-S: subtract the phase at TE = 0 from every echo, so that phase is proportional to TE.

    The phase of the coils is smooth. It is that of the first echo, extrapolated to TE = 0 by the unwrapped difference
    of the first two echoes, and smoothed as a complex number. Outside the mask the phase is not
    changed.

    Differences:
        The publication subtracts the offset of each coil before it combines the coils. Here they have been combined
        already, so that there is one offset for all.

    Args:
        smoothing: standard deviation of the Gaussian that smooths the phase at TE = 0, mm; 0: no smoothing.

    Returns:
        phase: (nx, ny, nz, n_echoes) float32, rad, within ±π.

    Raises:
        NotApplicable: there is a single echo.

    Reference:
        Eckstein 2018, doi:10.1002/mrm.26963.
    """
    if te.size < 2:
        raise NotApplicable("the phase at TE = 0 needs at least two echoes; the scan has one")
    offset = np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        offset[box] += estimate_offset(phase[box], magnitude[box], inside, grid, te, smoothing)
    return wrap(phase - offset[..., None])
