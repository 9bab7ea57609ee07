"""It computes in a window that stays where it is."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("translation",)


@method(produces="chi", reference="deliberately broken")
def fixed_window(local_field, mask, grid):
    """It computes in a window that stays where it is."""
    window = np.zeros_like(mask)
    window[4:-4, 4:-4, 4:-4] = True
    return tkd(local_field * window, mask, grid) * window
