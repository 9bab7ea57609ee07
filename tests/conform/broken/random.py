"""It starts from a random volume, of another seed each time."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("repeated",)


@method(produces="chi", reference="deliberately broken")
def random(local_field, mask, grid):
    """It starts from a random volume, of another seed each time."""
    return tkd(local_field + 1e-6 * np.random.default_rng().standard_normal(mask.shape), mask, grid)
