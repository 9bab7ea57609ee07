"""Its phases are in turns."""

import numpy as np

from qsmbench.method import method
from qsmbench.methods.unwrap.romeo import romeo

FAILS = ("units",)


@method(produces="unwrapped", reference="deliberately broken")
def unwrapped_in_turns(phase, magnitude, mask, grid, te):
    """Its phases are in turns."""
    return romeo(phase, magnitude, mask, grid, te) / (2 * np.pi)
