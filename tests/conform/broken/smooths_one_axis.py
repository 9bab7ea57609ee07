"""It smooths along the first axis by a fixed number of voxels, towards one side."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("mirror",)


@method(produces="chi", reference="deliberately broken")
def smooths_one_axis(local_field, mask, grid):
    """It smooths along the first axis by a fixed number of voxels, towards one side."""
    chi = tkd(local_field, mask, grid)
    return (chi + np.roll(chi, 1, axis=0)) / 2 * mask
