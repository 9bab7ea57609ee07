"""True susceptibility-weighted imaging: a mask made from χ."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.masks.weighting import chi_weight
from qsmbench.ops.phase.echo_choice import nearest_echo

_FIELD_TIME = 0.060  # T·s: 20 ms at 3 T; assumed


@method(produces="swi", reference="Liu 2014, doi:10.1002/jmri.24413")
def tswi(magnitude, chi, mask, te, b0, *, echo_time=None, low=0.0, high=0.45, power=2):
    """tSWI: multiply the magnitude of one echo by a mask made from χ in place of the phase.

    The mask is 1 below `low`, 0 above `high` and linear in between. It does not depend on the angle of a vein to B0,
    but only χ above `low` is seen, unless the magnitude shows it.

    Args:
        echo_time: of the image, s; the nearest echo is used. None: 60 ms·T / B0.
        low: χ up to which the mask is 1, ppm.
        high: χ from which on the mask is 0, ppm; 0.45 is that of venous blood.
        power: number of times that the mask is multiplied.

    Raises:
        QsmbenchError: `high` is not above `low`, or the power is not positive.

    Reference:
        Liu 2014, doi:10.1002/jmri.24413; thresholds and power from memory, unverified.
    """
    if not high > low:
        raise QsmbenchError(f"tswi: high is {high}; it must be greater than low, {low}")
    if not power > 0:
        raise QsmbenchError(f"tswi: power is {power}; it must be greater than 0")
    echo = nearest_echo(te, _FIELD_TIME / b0 if echo_time is None else echo_time)
    note("echo time", f"{1000 * te[echo]:.3g} ms")
    weighted = magnitude[..., echo] * chi_weight(chi, low, high) ** power
    return np.where(mask, weighted, 0).astype(np.float32)
