"""Its inverse transform takes the last axis to be even."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("odd size",)


@method(produces="chi", reference="deliberately broken")
def even_sizes_only(local_field, mask, grid):
    """Its inverse transform takes the last axis to be even."""
    chi = tkd(local_field, mask, grid)
    return np.fft.irfftn(np.fft.rfftn(chi)) * mask
