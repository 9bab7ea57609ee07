"""It takes the spacing of the first two echoes for that of all."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.field.fit import fit

FAILS = ("uneven echoes",)


@method(produces="total_field", reference="deliberately broken")
def even_echoes_only(unwrapped, magnitude, mask, grid, te, b0):
    """It takes the spacing of the first two echoes for that of all."""
    spacing = te[1] - te[0] if te.size > 1 else 0
    return fit(unwrapped, magnitude, mask, grid, te[0] + spacing * np.arange(te.size), b0)[0]
