"""Its echoes are along the first axis."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.unwrap.romeo import romeo

FAILS = ("runs",)


@method(produces="unwrapped", reference="deliberately broken")
def echoes_first(phase, magnitude, mask, grid, te):
    """Its echoes are along the first axis."""
    return np.moveaxis(romeo(phase, magnitude, mask, grid, te), -1, 0)
