"""It weights with the inverse of the magnitude, and the NaN of an empty voxel spreads."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("no signal",)


@method(produces="chi", reference="deliberately broken")
def nan_spreads(local_field, magnitude, mask, grid):
    """It weights with the inverse of the magnitude, and the NaN of an empty voxel spreads."""
    weight = magnitude[..., 0] / magnitude[..., 0]
    return tkd(np.where(mask, weight * local_field, 0), mask, grid)
