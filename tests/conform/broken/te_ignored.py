"""It takes the echoes to be those of its author's scanner."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.field.fit import fit

FAILS = ("many echoes",)


@method(produces="total_field", reference="deliberately broken")
def te_ignored(unwrapped, magnitude, mask, grid, te, b0):
    """It takes the echoes to be those of its author's scanner."""
    return fit(unwrapped, magnitude, mask, grid, 0.004 + 0.006 * np.arange(te.size), b0)[0]
