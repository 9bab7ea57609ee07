"""Its result runs the other way along the first axis."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("truth",)


@method(produces="chi", reference="deliberately broken")
def flipped_first(local_field, mask, grid):
    """Its result runs the other way along the first axis."""
    return np.flip(tkd(local_field, mask, grid), 0) * mask
