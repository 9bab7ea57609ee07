"""Its result runs the other way along the third axis."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.inversion.tkd import tkd

FAILS = ("truth",)


@method(produces="chi", reference="deliberately broken")
def flipped_third(local_field, mask, grid):
    """Its result runs the other way along the third axis."""
    return np.flip(tkd(local_field, mask, grid), 2) * mask
