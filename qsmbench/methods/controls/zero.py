"""The negative control: no susceptibility anywhere. Its plain NRMSE is 100 % by definition."""

import numpy as np

from qsmbench.method import method


@method(produces="chi", reference="control")
def zero(mask):
    """Control: χ = 0 everywhere."""
    return np.zeros(mask.shape, np.float32)
