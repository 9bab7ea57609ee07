"""Its mask is the whole volume."""

import numpy as np

from qsmbench.method import method

FAILS = ("truth",)


@method(produces="mask", reference="deliberately broken")
def mask_of_all(magnitude):
    """Its mask is the whole volume."""
    return np.ones(magnitude.shape[:3], bool)
