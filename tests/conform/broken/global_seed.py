"""It draws from the random numbers that all share."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("repeated",)


@method(produces="chi", reference="deliberately broken")
def global_seed(local_field, mask, grid):
    """It draws from the random numbers that all share."""
    return tkd(local_field + 1e-6 * np.random.randn(*mask.shape), mask, grid)  # noqa: NPY002
