"""Bias of the diameter of veins, by their true diameter."""

import numpy as np

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import by_diameter, diameter_names, errors, in_groups


@metric(
    unit=None,
    best=0.0,
    higher_is_better=None,
    reference="qsmbench",
    label="vein diameter bias",
    artifacts=("vein_diameter",),
    local=True,
)
def vein_diameter_bias(estimate, truth, mask, grid):
    """Mean error of the diameter in the true veins that were found, for each group of true diameter, in voxels.

    Returns:
        a number for each group of diameter, mm.

    Raises:
        NotApplicable: no true vein was found.
    """
    both, error = errors(estimate, truth, mask)
    return in_groups(np.mean, error, by_diameter(truth, grid)[both], diameter_names())
