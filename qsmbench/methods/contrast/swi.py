"""Susceptibility-weighted imaging."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.masks.weighting import phase_weight
from qsmbench.ops.phase.echo_choice import nearest_echo
from qsmbench.ops.phase.high_pass import homodyne, without_trend
from qsmbench.ops.phase.unwrap import connected_parts, unwrap_part

_FILTERS = ("homodyne", "unwrapped")
_FIELD_TIME = 0.060  # T·s: 20 ms at 3 T, 40 ms at 1.5 T, so that the phase is the same; assumed


@method(produces="swi", reference="Haacke 2004, doi:10.1002/mrm.20198")
def swi(
    magnitude,
    phase,
    mask,
    te,
    b0,
    grid,
    *,
    echo_time=None,
    filter="homodyne",
    resolution=4.0,
    sigma=4.0,
    power=4,
    negative=False,
):
    """SWI: multiply the magnitude of one echo several times by a mask made from its high-pass filtered phase.

    The mask is 1 − φ/π where the phase φ is positive, and 1 elsewhere. Phase grows with the field here, so that a vein
    along B0 is dark, as is the field outside a vein across B0, and outside a calcification along B0: the contrast does
    not tell the sign of χ. Slices are those across the array axis nearest to B0. Only signal in the mask is used.

    Args:
        echo_time: of the image, s; the nearest echo is used. None: 60 ms·T / B0.
        filter: homodyne (relative to the image at low resolution) or unwrapped (minus its Gaussian mean).
        resolution: voxel size of the low-resolution image of the homodyne filter, mm; 64 lines of 256 mm.
        sigma: standard deviation of the Gaussian that unwrapped phase is filtered with, voxels.
        power: number of times that the mask is multiplied.
        negative: suppress negative phase in place of positive.

    Raises:
        QsmbenchError: the filter is unknown, or a width or the power is not positive.

    Reference:
        Haacke 2004, doi:10.1002/mrm.20198: the mask, the homodyne filter and the fourth power.
    """
    if filter not in _FILTERS:
        raise QsmbenchError(f"swi: filter is {filter!r}; choose from {', '.join(_FILTERS)}")
    for name, value in (("resolution", resolution), ("sigma", sigma), ("power", power)):
        if not value > 0:
            raise QsmbenchError(f"swi: {name} is {value}; it must be greater than 0")
    echo = nearest_echo(te, _FIELD_TIME / b0 if echo_time is None else echo_time)
    note("echo time", f"{1000 * te[echo]:.3g} ms")
    image, angle = magnitude[..., echo], phase[..., echo]
    if filter == "homodyne":
        filtered = homodyne(image, angle, mask, grid, resolution)
    else:
        filtered = without_trend(_unwrapped(image, angle, mask), mask, grid, sigma)
    weighted = image * phase_weight(filtered, negative=negative) ** power
    return np.where(mask, weighted, 0).astype(np.float32)


def _unwrapped(magnitude, phase, mask):
    unwrapped = np.zeros(mask.shape, np.float32)
    for box, part in connected_parts(mask):
        found = unwrap_part(phase[box], magnitude[box], part)
        unwrapped[box][part] = found[part]
    return unwrapped
