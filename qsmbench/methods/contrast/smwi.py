"""Susceptibility map-weighted imaging."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.masks.weighting import chi_weight


@method(produces="swi", reference="Gho 2014, doi:10.1002/mrm.24920")
def smwi(magnitude, chi, mask, *, threshold=1.0, power=4, negative=False):
    """SMWI: multiply the combined magnitude of all echoes by a mask made from χ.

    The magnitude is the root mean square over echoes. The mask is (threshold − χ) / threshold where χ is positive, and
    1 elsewhere.

    Args:
        threshold: χ at which the mask is 0, ppm.
        power: number of times that the mask is multiplied.
        negative: suppress diamagnetic sources in place of paramagnetic ones.

    Raises:
        QsmbenchError: the threshold or the power is not positive.

    Reference:
        Gho 2014, doi:10.1002/mrm.24920.
    """
    for name, value in (("threshold", threshold), ("power", power)):
        if not value > 0:
            raise QsmbenchError(f"smwi: {name} is {value}; it must be greater than 0")
    combined = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=-1))
    weight = chi_weight(-chi if negative else chi, 0, threshold) ** power
    return np.where(mask, combined * weight, 0).astype(np.float32)
