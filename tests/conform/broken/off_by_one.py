"""Its result lies a voxel further along the first axis."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("position",)


@method(produces="chi", reference="deliberately broken")
def off_by_one(local_field, mask, grid):
    """Its result lies a voxel further along the first axis."""
    return np.roll(tkd(local_field, mask, grid), 1, axis=0) * mask
