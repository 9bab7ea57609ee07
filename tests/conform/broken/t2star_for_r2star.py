"""It gives a time instead of a rate."""

import numpy as np
from sound import r2star_log

from qsmbench.method import method

FAILS = ("sign",)


@method(produces="r2star", reference="deliberately broken")
def t2star_for_r2star(magnitude, mask, te):
    """It gives a time instead of a rate."""
    rate = r2star_log(magnitude, mask, te)
    return np.where(rate > 1, 1 / np.maximum(rate, 1), 0) * mask
