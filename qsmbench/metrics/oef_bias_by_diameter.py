"""Bias of the oxygen extraction fraction, by diameter."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import by_diameter, diameter_names, errors, in_groups


@metric(
    unit="",
    best=0.0,
    higher_is_better=None,
    reference="Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8",
    label="OEF bias by diameter",
    artifacts=("oef",),
    local=True,
)
def oef_bias_by_diameter(estimate, truth, mask, vein_diameter, grid):
    """Mean error of the oxygen extraction fraction, for each group of the veins' true diameter, in voxels.

    Only voxels that have a true and a reconstructed value count.

    Returns:
        a number for each group of diameter, as a fraction.

    Raises:
        NotApplicable: no true vein has a value.
    """
    both, error = errors(estimate, truth, mask)
    return in_groups(np.mean, error, by_diameter(vein_diameter, grid)[both], diameter_names())
