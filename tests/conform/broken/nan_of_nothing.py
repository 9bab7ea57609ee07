"""It divides by the largest value, zero or not."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("zero input",)


@method(produces="chi", reference="deliberately broken")
def nan_of_nothing(local_field, mask, grid):
    """It divides by the largest value, zero or not."""
    peak = np.abs(local_field * mask).max()
    return tkd(local_field / peak, mask, grid) * peak
