"""Bias of the oxygen extraction fraction of each hemisphere."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import errors, in_groups, left_and_right


@metric(
    unit="",
    best=0.0,
    higher_is_better=None,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="OEF bias by side",
    artifacts=("oef",),
)
def oef_bias_by_side(estimate, truth, mask, grid):
    """Mean error of the oxygen extraction fraction of the veins left and right of x = 0 in the space of the scan.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        a number for each side, as a fraction.

    Raises:
        NotApplicable: no true vein has a value.
    """
    both, error = errors(estimate, truth, mask)
    names, side = left_and_right(both, grid)
    return in_groups(np.mean, error, side, names)
